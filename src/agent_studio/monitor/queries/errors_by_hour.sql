-- Errors by hour and severity.
SELECT {floor_to:at_ms|3600000} AS hour_at_ms, severity, count(*) AS count
FROM errors
WHERE at_ms >= $since AND at_ms < $until
GROUP BY 1, severity
ORDER BY 1, severity
