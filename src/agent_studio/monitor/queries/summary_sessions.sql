-- How many sessions started, ended, are open, and how many prompts there were.
WITH one AS (
  SELECT
    session_id,
    max(CASE WHEN event = 'start' THEN 1 ELSE 0 END) AS started,
    max(CASE WHEN event = 'end' THEN at_ms END) AS end_ms,
    max(CASE WHEN event <> 'end' THEN at_ms END) AS heard_ms,
    {count_if:event = 'prompt'} AS prompts
  FROM sessions
  WHERE at_ms >= $since AND at_ms < $until
  GROUP BY session_id
)
SELECT
  CAST(coalesce(sum(started), 0) AS BIGINT) AS started,
  count(end_ms) AS ended,
  CAST(coalesce(sum(prompts), 0) AS BIGINT) AS prompts,
  {count_if:heard_ms > coalesce(end_ms, -1)} AS open
FROM one
