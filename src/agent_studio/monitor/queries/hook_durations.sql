-- How many runs of each hook took how long.
SELECT hook, duration_ms, count(*) AS calls
FROM hooks
WHERE at_ms >= $since AND at_ms < $until AND duration_ms IS NOT NULL
GROUP BY hook, duration_ms
ORDER BY hook, duration_ms
