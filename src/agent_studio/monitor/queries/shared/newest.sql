-- Each response of an environment as it was told of last, within a day of its time, unless it is another one by now.
SELECT *
FROM (
  SELECT
    at_ms, environment, session_id, provider, model, agent, skill, folder, source, input_tokens, output_tokens,
    cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, web_searches, pico_usd,
    row_number() OVER (PARTITION BY environment, response ORDER BY seq DESC, machine, id) AS age
  FROM agent_studio.usage
  WHERE project = $project{own} AND at_ms >= $since - 86400000 AND at_ms < $until + 86400000
) AS versions
WHERE age = 1 AND coalesce(source, '') <> 'replaced' AND at_ms >= $since AND at_ms < $until
