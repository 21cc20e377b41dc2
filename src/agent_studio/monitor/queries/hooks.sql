-- Each hook: calls, failures, blocked runs, times, when it was last heard of.
SELECT
  hook,
  count(*) AS calls,
  {count_if:status IN ('failure', 'timeout')} AS failures,
  {count_if:status = 'blocked'} AS blocked,
  count(duration_ms) AS timed,
  avg(duration_ms) AS avg_ms,
  {quantile:duration_ms|0.5} AS p50_ms,
  {quantile:duration_ms|0.95} AS p95_ms,
  {quantile:duration_ms|0.99} AS p99_ms,
  max(at_ms) AS last_at_ms
FROM hooks
WHERE at_ms >= $since AND at_ms < $until
GROUP BY hook
ORDER BY calls DESC, hook
