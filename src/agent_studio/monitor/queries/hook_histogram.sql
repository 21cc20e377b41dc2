-- One hook's run times in steps of a factor of the square root of 2, the lowest from 0 on; empty steps are there with 0.
WITH stepped AS (
  SELECT CASE WHEN duration_ms < 0.125 THEN -6 ELSE CAST(floor(2 * {log2:duration_ms} + 0.000000000001) AS BIGINT) END AS step
  FROM hooks
  WHERE at_ms >= $since AND at_ms < $until AND hook = $hook AND duration_ms >= 0
),
ends AS (
  SELECT min(step) AS lowest, max(step) AS highest FROM stepped
),
steps AS (
  SELECT number AS step FROM {series:-6|101|1|number}, ends WHERE number >= ends.lowest AND number <= ends.highest
)
SELECT
  CASE WHEN steps.step = -6 THEN 0.0 ELSE {power:steps.step / 2.0} END AS from_ms,
  {power:(steps.step + 1) / 2.0} AS to_ms,
  count(stepped.step) AS calls
FROM steps
LEFT JOIN stepped ON stepped.step = steps.step
GROUP BY steps.step
ORDER BY steps.step
