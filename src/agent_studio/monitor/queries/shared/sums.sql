-- Responses by quarter of an hour and some columns, as the ledger's own table sums them.
SELECT
  min(at_ms) AS first_ms{columns}, count(*) AS responses, CAST(sum(input_tokens) AS BIGINT) AS input,
  CAST(sum(output_tokens) AS BIGINT) AS output, CAST(sum(cache_read_tokens) AS BIGINT) AS cache_read,
  CAST(sum(cache_write_5m_tokens) AS BIGINT) AS cache_write5m,
  CAST(sum(cache_write_1h_tokens) AS BIGINT) AS cache_write1h, CAST(sum(web_searches) AS BIGINT) AS web_searches,
  CAST(sum(CAST({floor_to:pico_usd|1000000000000} / 1000000000000 AS BIGINT)) AS BIGINT) AS usd,
  CAST(sum(pico_usd - {floor_to:pico_usd|1000000000000}) AS BIGINT) AS pico,
  CAST(sum(CASE WHEN pico_usd IS NULL
    THEN input_tokens + output_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens ELSE 0
  END) AS BIGINT) AS unpriced
FROM newest
GROUP BY {floor_to:at_ms|900000}{columns}
