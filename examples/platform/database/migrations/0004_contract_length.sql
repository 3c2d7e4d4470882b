-- kind: contract
-- app: v2 v3
--
-- Takes the old column away. From here on v1 cannot come back: it waits for the
-- rollback window to close. Each step is a transaction of its own, so that none
-- holds a lock that stops readers for longer than it takes to change the catalog,
-- and each may be run again if a later one fails.

-- What v1 has written since the backfill.
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

-- Stops here if a length has not been understood: it would be lost.
-- step: slowly
DO $$
DECLARE
	bad bigint;
BEGIN
	SELECT min(id) INTO bad FROM titles WHERE state = 'ready' AND duration_ms IS NULL;
	IF bad IS NOT NULL THEN
		RAISE EXCEPTION 'title % has no duration_ms: correct its length_text, and run this again', bad;
	END IF;
END $$;

-- Until this one v1 could still come back.
-- step: once
ALTER TABLE titles DROP COLUMN length_text;
