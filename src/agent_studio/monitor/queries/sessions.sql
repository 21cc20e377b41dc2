-- The latest 500 sessions: from when to when, prompts, hooks, errors, runs of agents, tokens, cost.
WITH told AS (
  SELECT
    session_id, at_ms, CASE WHEN event = 'prompt' THEN 1 ELSE 0 END AS prompts, 0 AS calls, 0 AS failures, 0 AS errors,
    0 AS runs, 0 AS tokens, CAST(NULL AS DOUBLE PRECISION) AS cost_usd, source, model,
    CASE WHEN event = 'end' THEN at_ms END AS end_ms, CASE WHEN event <> 'end' THEN at_ms END AS heard_ms, event
  FROM sessions
  UNION ALL
  SELECT
    session_id, at_ms, 0, 1, CASE WHEN status IN ('failure', 'timeout') THEN 1 ELSE 0 END, 0, 0, 0, NULL, NULL, NULL,
    NULL, NULL, NULL
  FROM hooks
  UNION ALL
  SELECT session_id, at_ms, 0, 0, 0, 0, 1, 0, NULL, NULL, NULL, NULL, NULL, NULL FROM agents
  UNION ALL
  SELECT session_id, at_ms, 0, 0, 0, 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL FROM errors
  UNION ALL
  SELECT session_id, at_ms, 0, 0, 0, 0, 0, tokens, cost_usd, NULL, NULL, NULL, NULL, NULL FROM usage
)
SELECT
  session_id,
  min(at_ms) AS first_at_ms,
  max(at_ms) AS last_at_ms,
  CAST(sum(prompts) AS BIGINT) AS prompts,
  CAST(sum(calls) AS BIGINT) AS calls,
  CAST(sum(failures) AS BIGINT) AS failures,
  CAST(sum(errors) AS BIGINT) AS errors,
  CAST(sum(runs) AS BIGINT) AS runs,
  CAST(sum(tokens) AS BIGINT) AS tokens,
  sum(cost_usd) AS cost_usd,
  {latest:CASE WHEN event = 'start' THEN source END|at_ms} AS source,
  {latest:CASE WHEN event = 'start' THEN model END|at_ms} AS model,
  CAST(coalesce(max(heard_ms) > coalesce(max(end_ms), 0), false) AS BOOLEAN) AS open
FROM told
WHERE at_ms >= $since AND at_ms < $until AND session_id IS NOT NULL
GROUP BY session_id
ORDER BY last_at_ms DESC, session_id
LIMIT 500
