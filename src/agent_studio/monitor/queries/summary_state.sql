-- How fresh the records are, and how many say that they are from the future.
WITH ahead AS (
  SELECT count(*) AS records FROM hooks WHERE at_ms >= $until AND at_ms > $now
  UNION ALL
  SELECT count(*) FROM agents WHERE at_ms >= $until AND at_ms > $now
  UNION ALL
  SELECT count(*) FROM errors WHERE at_ms >= $until AND at_ms > $now
  UNION ALL
  SELECT count(*) FROM sessions WHERE at_ms >= $until AND at_ms > $now
),
heard AS (
  SELECT max(at_ms) AS at_ms FROM hooks /* copies too */ WHERE at_ms >= $heard_from AND at_ms <= $now
  UNION ALL
  SELECT max(at_ms) FROM agents /* copies too */ WHERE at_ms >= $heard_from AND at_ms <= $now
  UNION ALL
  SELECT max(at_ms) FROM errors /* copies too */ WHERE at_ms >= $heard_from AND at_ms <= $now
  UNION ALL
  SELECT max(at_ms) FROM sessions /* copies too */ WHERE at_ms >= $heard_from AND at_ms <= $now
)
SELECT (SELECT CAST(sum(records) AS BIGINT) FROM ahead) AS future, (SELECT max(at_ms) FROM heard) AS newest_at_ms
