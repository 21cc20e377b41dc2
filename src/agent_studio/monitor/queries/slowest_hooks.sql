-- The hundred slowest runs of hooks.
SELECT hook, event, tool, at_ms AS time_at_ms, duration_ms, status, session_id
FROM hooks
WHERE at_ms >= $since AND at_ms < $until AND duration_ms IS NOT NULL
ORDER BY duration_ms DESC, at_ms DESC, hook, event, tool, status, session_id
LIMIT 100
