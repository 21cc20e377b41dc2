-- The latest 40 errors and the latest ten of each group, the newest first, with the shape of their message; texts cut.
-- Only moments and keys are numbered of all errors, so that a flood of them fits in memory.
WITH keyed AS (
  SELECT
    at_ms,
    CASE severity WHEN 'CRITICAL' THEN 0 WHEN 'HIGH' THEN 1 WHEN 'MEDIUM' THEN 2 ELSE 3 END AS rank,
    {digest:concat_ws(
      {separator}, error_type, severity, source, {head:{shape:{head:coalesce(message, '')|400}}|200}
    )} AS of_group
  FROM errors
  WHERE at_ms >= $since AND at_ms < $until
), numbered AS (
  SELECT at_ms, rank, of_group, row_number() OVER (PARTITION BY of_group ORDER BY at_ms DESC) AS number
  FROM keyed
), shown AS (
  SELECT of_group, min(CASE WHEN number <= 10 THEN at_ms END) AS begin_ms
  FROM numbered
  GROUP BY of_group
  ORDER BY min(rank), count(*) DESC, max(at_ms) DESC, of_group
  LIMIT 200
), latest AS (
  SELECT at_ms FROM errors WHERE at_ms >= $since AND at_ms < $until ORDER BY at_ms DESC LIMIT 40
), shaped AS (
  SELECT
    at_ms, error_type, severity, source, {head:message|600} AS message, tool, session_id, event_id,
    {head:metadata|600} AS metadata,
    {head:{shape:{head:coalesce(message, '')|400}}|200} AS shape
  FROM errors
  WHERE at_ms >= $since AND at_ms < $until
), kept AS (
  SELECT
    shaped.*, row_number() OVER (ORDER BY shaped.at_ms DESC, event_id, error_type, severity, source, message) AS of_all,
    row_number() OVER (
      PARTITION BY error_type, severity, source, shape ORDER BY shaped.at_ms DESC, event_id, message
    ) AS in_group
  FROM shaped
  LEFT JOIN shown ON shown.of_group = {digest:concat_ws({separator}, error_type, severity, source, shape)}
  WHERE shaped.at_ms >= shown.begin_ms OR shaped.at_ms >= (SELECT min(at_ms) FROM latest)
)
SELECT at_ms AS time_at_ms, error_type, severity, source, shape, message, tool, session_id, event_id, metadata
FROM kept
WHERE of_all <= 40 OR in_group <= 10
ORDER BY at_ms DESC, event_id, error_type, severity, source, message, tool, session_id, metadata
LIMIT 2040
