-- How fresh the records are, and how many say that they are from the future.
WITH told AS (
  SELECT at_ms FROM hooks
  UNION ALL
  SELECT at_ms FROM agents
  UNION ALL
  SELECT at_ms FROM errors
  UNION ALL
  SELECT at_ms FROM sessions
)
SELECT
  {count_if:at_ms >= $until AND at_ms > $now} AS future,
  max(CASE WHEN at_ms <= $now THEN at_ms END) AS newest_at_ms
FROM told
