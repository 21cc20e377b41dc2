-- What happened in one session, in order, 5,000 rows at most.
WITH told AS (
  SELECT
    at_ms, 'session' AS kind, event AS name, CAST(NULL AS VARCHAR) AS status, duration_ms,
    coalesce(source, reason, model) AS detail, session_id
  FROM sessions
  UNION ALL
  SELECT at_ms, 'hook', hook, status, duration_ms, coalesce(event || ' ' || tool, event), session_id FROM hooks
  UNION ALL
  SELECT at_ms, 'agent', agent, status, duration_ms, coalesce(error_message, agent_id), session_id FROM agents
  UNION ALL
  SELECT at_ms, 'error', error_type, severity, NULL, message, session_id FROM errors
  UNION ALL
  SELECT at_ms, 'usage', model, NULL, NULL, CAST(tokens AS VARCHAR) || ' tokens', session_id FROM usage
)
SELECT at_ms AS time_at_ms, kind, name, status, duration_ms, detail
FROM told
WHERE session_id = $session_id AND at_ms >= $since AND at_ms < $until
ORDER BY at_ms, kind, name, status, duration_ms, detail
LIMIT 5000
