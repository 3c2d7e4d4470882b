-- kind: expand
-- app: v1 v2 v3
--
-- The new column beside the old one. It may be NULL and has no default, so that
-- this takes no longer than its lock; v1 does not notice.

-- step: once
ALTER TABLE titles ADD COLUMN duration_ms bigint CHECK (duration_ms >= 0);
