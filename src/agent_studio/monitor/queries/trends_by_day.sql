-- Every day (UTC) of the stretch, days without records too: hooks, agents, errors that count, sessions, tokens, cost.
WITH days AS (
  SELECT day_ms FROM {series:{floor_to:$since|86400000}|$until|86400000|day_ms}
),
by_hook AS (
  SELECT
    {floor_to:at_ms|86400000} AS day_ms, count(*) AS calls, {count_if:status IN ('failure', 'timeout')} AS failures,
    {count_if:status = 'blocked'} AS blocked, {quantile:duration_ms|0.5} AS p50_ms,
    {quantile:duration_ms|0.95} AS p95_ms
  FROM hooks WHERE at_ms >= $since AND at_ms < $until GROUP BY 1
),
by_agent AS (
  SELECT {floor_to:at_ms|86400000} AS day_ms, count(*) AS runs, {count_if:status = 'failed'} AS failures,
    {count_if:status <> 'cancelled'} AS counted
  FROM agents WHERE at_ms >= $since AND at_ms < $until GROUP BY 1
),
by_error AS (
  SELECT {floor_to:at_ms|86400000} AS day_ms, {count_if:severity IN ('MEDIUM', 'HIGH', 'CRITICAL')} AS errors
  FROM errors WHERE at_ms >= $since AND at_ms < $until GROUP BY 1
),
by_session AS (
  SELECT {floor_to:at_ms|86400000} AS day_ms, count(DISTINCT session_id) AS sessions
  FROM sessions WHERE at_ms >= $since AND at_ms < $until GROUP BY 1
),
by_model AS (
  SELECT {floor_to:at_ms|86400000} AS day_ms, CAST(sum(tokens) AS BIGINT) AS tokens, sum(cost_usd) AS cost_usd
  FROM usage GROUP BY 1
)
SELECT
  {date:days.day_ms} AS date,
  coalesce(by_hook.calls, 0) AS calls,
  coalesce(by_hook.failures, 0) AS failures,
  coalesce(by_hook.blocked, 0) AS blocked,
  coalesce(CAST(by_hook.failures AS DOUBLE PRECISION) / by_hook.calls, 0.0) AS failure_rate,
  by_hook.p50_ms AS p50_ms,
  by_hook.p95_ms AS p95_ms,
  coalesce(by_agent.runs, 0) AS runs,
  coalesce(by_agent.failures, 0) AS agent_failures,
  coalesce(CAST(by_agent.failures AS DOUBLE PRECISION) / nullif(by_agent.counted, 0), 0.0) AS agent_failure_rate,
  coalesce(by_error.errors, 0) AS errors,
  coalesce(by_session.sessions, 0) AS sessions,
  coalesce(by_model.tokens, 0) AS tokens,
  by_model.cost_usd AS cost_usd
FROM days
LEFT JOIN by_hook ON by_hook.day_ms = days.day_ms
LEFT JOIN by_agent ON by_agent.day_ms = days.day_ms
LEFT JOIN by_error ON by_error.day_ms = days.day_ms
LEFT JOIN by_session ON by_session.day_ms = days.day_ms
LEFT JOIN by_model ON by_model.day_ms = days.day_ms
ORDER BY days.day_ms
