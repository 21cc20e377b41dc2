-- What each model used and cost, by hour; tokens are input, output and cache writes.
SELECT
  {floor_to:at_ms|3600000} AS hour_at_ms, model, CAST(sum(tokens) AS BIGINT) AS tokens, sum(cost_usd) AS cost_usd,
  CAST(sum(unpriced_tokens) AS BIGINT) AS unpriced_tokens
FROM usage
GROUP BY 1, model
ORDER BY 1, model
