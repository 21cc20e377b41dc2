-- What each model used and cost, the dearest first.
WITH summed AS (
  SELECT
    model, CAST(sum(responses) AS BIGINT) AS responses, CAST(sum(input_tokens) AS BIGINT) AS input_tokens,
    CAST(sum(output_tokens) AS BIGINT) AS output_tokens, CAST(sum(cache_read_tokens) AS BIGINT) AS cache_read_tokens,
    CAST(sum(cache_write_tokens) AS BIGINT) AS cache_write_tokens, CAST(sum(tokens) AS BIGINT) AS tokens,
    sum(cost_usd) AS cost_usd, CAST(sum(unpriced_tokens) AS BIGINT) AS unpriced_tokens
  FROM usage
  GROUP BY model
)
SELECT
  model, responses, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, tokens, cost_usd,
  unpriced_tokens
FROM summed
ORDER BY cost_usd DESC NULLS LAST, tokens DESC, model
