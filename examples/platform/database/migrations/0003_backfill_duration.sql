-- kind: backfill
-- app: v1 v2 v3
--
-- Fills the new column from the old one, where it is empty, or where v1 has
-- written the old one since: then both no longer say the same. $1 is the id after
-- which this batch begins, $2 its size; the answer is the id at which it ends.

-- step: batches of 200
WITH batch AS (
	SELECT id FROM titles WHERE id > $1 ORDER BY id LIMIT $2
), filled AS (
	UPDATE titles t
	SET duration_ms = 1000 * extract(epoch FROM t.length_text::interval)::bigint
	FROM batch
	WHERE t.id = batch.id AND t.length_text ~ '^\d{1,4}:[0-5]\d:[0-5]\d$'
		AND (t.duration_ms IS NULL
			OR to_char(make_interval(secs => t.duration_ms / 1000), 'FMHH24:MI:SS') <> t.length_text)
)
SELECT max(id) FROM batch;
