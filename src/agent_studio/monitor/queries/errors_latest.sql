-- The latest 200 errors.
SELECT at_ms AS time_at_ms, error_type, severity, source, message, tool, session_id, event_id, metadata
FROM errors
WHERE at_ms >= $since AND at_ms < $until
ORDER BY at_ms DESC, event_id
LIMIT 200
