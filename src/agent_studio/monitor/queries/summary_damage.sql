-- Lines that are no records, each of the time of the record before it.
SELECT {count_if:at_ms IS NULL AND (near_ms IS NULL OR (near_ms >= $since AND near_ms < $until))} AS damaged
FROM lines
WHERE at_ms IS NULL
