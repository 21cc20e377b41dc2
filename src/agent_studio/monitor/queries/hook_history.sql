-- One hook by hour, by day above three days: calls, failures, blocked runs, times.
SELECT
  {floor_to:at_ms|$step} AS time_at_ms,
  count(*) AS calls,
  {count_if:status IN ('failure', 'timeout')} AS failures,
  {count_if:status = 'blocked'} AS blocked,
  {quantile:duration_ms|0.5} AS p50_ms,
  {quantile:duration_ms|0.95} AS p95_ms,
  {quantile:duration_ms|0.99} AS p99_ms
FROM hooks
WHERE at_ms >= $since AND at_ms < $until AND hook = $hook
GROUP BY 1
ORDER BY 1
