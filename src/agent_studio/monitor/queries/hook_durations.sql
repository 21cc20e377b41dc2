-- How many runs of each hook took how long, to a hundredth of a ms.
WITH rounded AS (
  SELECT hook, floor(duration_ms * 100 + 0.5) / 100 AS duration_ms
  FROM hooks
  WHERE at_ms >= $since AND at_ms < $until AND duration_ms IS NOT NULL
)
SELECT hook, duration_ms, count(*) AS calls
FROM rounded
GROUP BY hook, duration_ms
ORDER BY hook, duration_ms
