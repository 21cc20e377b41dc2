-- The latest 40 errors and the latest ten of each group, the newest first, each with the shape of its message.
WITH shaped AS (
  SELECT
    at_ms, error_type, severity, source, message, tool, session_id, event_id, metadata,
    substr({shape:substr(coalesce(message, ''), 1, 400)}, 1, 200) AS shape
  FROM errors
  WHERE at_ms >= $since AND at_ms < $until
), numbered AS (
  SELECT
    *, row_number() OVER (ORDER BY at_ms DESC, event_id) AS of_all,
    row_number() OVER (PARTITION BY error_type, severity, source, shape ORDER BY at_ms DESC, event_id) AS of_group
  FROM shaped
), kept AS (
  SELECT * FROM numbered
  WHERE of_all <= 40 OR of_group <= 10
  ORDER BY
    CASE WHEN of_all <= 40 THEN 0 ELSE of_group END,
    CASE severity WHEN 'CRITICAL' THEN 0 WHEN 'HIGH' THEN 1 WHEN 'MEDIUM' THEN 2 ELSE 3 END,
    at_ms DESC, event_id
  LIMIT 1000
)
SELECT at_ms AS time_at_ms, error_type, severity, source, shape, message, tool, session_id, event_id, metadata
FROM kept
ORDER BY at_ms DESC, event_id
