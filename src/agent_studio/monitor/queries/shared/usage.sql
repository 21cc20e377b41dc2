-- What models used, by quarter of an hour, session, model and agent: a view of queries.
SELECT
  CASE WHEN quarter_ms < $since THEN $since ELSE quarter_ms END AS at_ms, session_id,
  coalesce(nullif(model, ''), 'unknown') AS model, agent, responses, input_tokens, output_tokens, cache_read_tokens,
  cache_write_tokens, input_tokens + output_tokens + cache_write_tokens AS tokens, cost_usd, unpriced_tokens
FROM (
  SELECT
    {floor_to:at_ms|900000} AS quarter_ms, session_id, model,
    agent, count(*) AS responses, CAST(sum(input_tokens) AS BIGINT) AS input_tokens,
    CAST(sum(output_tokens) AS BIGINT) AS output_tokens, CAST(sum(cache_read_tokens) AS BIGINT) AS cache_read_tokens,
    CAST(sum(cache_write_5m_tokens + cache_write_1h_tokens) AS BIGINT) AS cache_write_tokens,
    CAST(sum(pico_usd) AS DOUBLE PRECISION) / 1000000000000 AS cost_usd,
    CAST(sum(CASE WHEN pico_usd IS NULL
      THEN input_tokens + output_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens ELSE 0
    END) AS BIGINT) AS unpriced_tokens
  FROM newest
  GROUP BY {floor_to:at_ms|900000}, session_id, model, agent
) AS quarters
