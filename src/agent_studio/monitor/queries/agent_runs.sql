-- The latest 500 runs of agents, with their session and, where it is known, the agent that started them.
SELECT
  at_ms AS time_at_ms, agent, agent_id, session_id, parent, duration_ms, tokens, status, error_message
FROM agents
WHERE at_ms >= $since AND at_ms < $until
ORDER BY at_ms DESC, agent_id, agent, session_id, parent, status, duration_ms, tokens, error_message
LIMIT 500
