-- Errors by type, severity, source and shape of their message, the worst and then the most frequent first.
WITH shaped AS (
  SELECT error_type, severity, source, {head:{shape:{head:coalesce(message, '')|400}}|200} AS shape, at_ms
  FROM errors
  WHERE at_ms >= $since AND at_ms < $until
)
SELECT
  error_type, severity, source, shape, count(*) AS count, min(at_ms) AS first_at_ms, max(at_ms) AS last_at_ms
FROM shaped
GROUP BY error_type, severity, source, shape
ORDER BY
  CASE severity WHEN 'CRITICAL' THEN 0 WHEN 'HIGH' THEN 1 WHEN 'MEDIUM' THEN 2 ELSE 3 END,
  count DESC, last_at_ms DESC, error_type, severity, source, shape
LIMIT 200
