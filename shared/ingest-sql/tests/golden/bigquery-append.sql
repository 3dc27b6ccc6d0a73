-- Loads an extraction into BigQuery. Written by sqlextract VERSION.
--
-- Run it in the console, or with the command line:
--
--   bq query --use_legacy_sql=false < FILE
--
-- The datasets must exist, in the location of the bucket. Each table is loaded beside its target, counted, and
-- published in one transaction. A second run finds the job in sqlextract_loads and changes nothing.
--
-- job: "orders-0123abcd"
-- finished: "2026-01-02T03:05:05Z"
-- manifest: "s3://lake/exports/orders-0123abcd/manifest.json"
-- manifest sha256: 05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f
-- mode: append
-- table: "shop.notes" from "shop.notes", rows: 2, chunks: 1

-- ==== "shop.notes"

-- Ledger and table.
CREATE TABLE IF NOT EXISTS `analytics-1`.`shop`.`sqlextract_loads` (
  job STRING NOT NULL,
  table_name STRING NOT NULL,
  row_count INT64 NOT NULL,
  loaded_at TIMESTAMP NOT NULL
);
CREATE TABLE IF NOT EXISTS `analytics-1`.`shop`.`notes` (
  `id` INT64,
  `note` STRING,
  `photo` BYTES
);

-- Columns that the table does not have yet.
ALTER TABLE `analytics-1`.`shop`.`notes` ADD COLUMN IF NOT EXISTS `id` INT64;
ALTER TABLE `analytics-1`.`shop`.`notes` ADD COLUMN IF NOT EXISTS `note` STRING;
ALTER TABLE `analytics-1`.`shop`.`notes` ADD COLUMN IF NOT EXISTS `photo` BYTES;

-- Stops where the table is not what the extraction needs.
SELECT IF(COUNT(*) = 0, 'the table fits', ERROR('shop.notes does not fit: ' || STRING_AGG(difference, '; ' ORDER BY difference))) AS comparison
FROM (
  SELECT column_name || CASE lower(column_name)
    WHEN 'id' THEN CASE WHEN NOT (data_type IN ('INT64')) THEN ' is ' || data_type || ', which cannot hold INT64' END
    WHEN 'note' THEN CASE WHEN NOT (data_type IN ('STRING')) THEN ' is ' || data_type || ', which cannot hold STRING' END
    WHEN 'photo' THEN CASE WHEN NOT (data_type IN ('BYTES')) THEN ' is ' || data_type || ', which cannot hold BYTES' END
    ELSE ' is not in the extraction' END AS difference
  FROM `analytics-1`.`shop`.INFORMATION_SCHEMA.COLUMNS WHERE table_name = 'notes'
  UNION ALL
  SELECT w.column_name || ' is missing' FROM (SELECT 'id' AS column_name UNION ALL SELECT 'note' UNION ALL SELECT 'photo') AS w
  WHERE w.column_name NOT IN (SELECT lower(column_name) FROM `analytics-1`.`shop`.INFORMATION_SCHEMA.COLUMNS WHERE table_name = 'notes')
) AS found
WHERE difference IS NOT NULL;

-- Load.
IF NOT EXISTS (SELECT 1 FROM `analytics-1`.`shop`.`sqlextract_loads` WHERE job = 'orders-0123abcd' AND table_name = 'notes') THEN
  LOAD DATA OVERWRITE `analytics-1`.`shop`.`notes__sqlextract_4049a60b` (
    `id` INT64,
    `note` STRING,
    `photo` STRING
  )
  FROM FILES (
    format = 'CSV',
    skip_leading_rows = 1,
    field_delimiter = ',',
    quote = '"',
    encoding = 'UTF-8',
    allow_quoted_newlines = TRUE,
    allow_jagged_rows = FALSE,
    ignore_unknown_values = FALSE,
    preserve_ascii_control_characters = TRUE,
    max_bad_records = 0,
    uris = [
      'gs://lake/exports/orders-0123abcd/data/shop.notes/g0001/batch-0000000-00000000000000aa-00.csv'
    ]
  );
END IF;

-- Check: rows in all; BigQuery does not tell them per file.
IF NOT EXISTS (SELECT 1 FROM `analytics-1`.`shop`.`sqlextract_loads` WHERE job = 'orders-0123abcd' AND table_name = 'notes') THEN
  SELECT IF(COUNT(*) = 2, COUNT(*), ERROR('shop.notes: ' || COUNT(*) || ' rows were loaded, the manifest says 2')) AS rows_loaded
  FROM `analytics-1`.`shop`.`notes__sqlextract_4049a60b`;
END IF;

-- Publish.
IF NOT EXISTS (SELECT 1 FROM `analytics-1`.`shop`.`sqlextract_loads` WHERE job = 'orders-0123abcd' AND table_name = 'notes') THEN
  BEGIN TRANSACTION;
  INSERT INTO `analytics-1`.`shop`.`notes` (`id`, `note`, `photo`)
  SELECT `id`, `note`, FROM_HEX(`photo`) AS `photo` FROM `analytics-1`.`shop`.`notes__sqlextract_4049a60b`;
  INSERT INTO `analytics-1`.`shop`.`sqlextract_loads` (job, table_name, row_count, loaded_at)
  SELECT 'orders-0123abcd', 'notes', COUNT(*), CURRENT_TIMESTAMP() FROM `analytics-1`.`shop`.`notes__sqlextract_4049a60b`;
  COMMIT TRANSACTION;
END IF;

-- What the ledger says.
SELECT row_count, loaded_at FROM `analytics-1`.`shop`.`sqlextract_loads` WHERE job = 'orders-0123abcd' AND table_name = 'notes';

-- Clean up.
DROP TABLE IF EXISTS `analytics-1`.`shop`.`notes__sqlextract_4049a60b`;
--
-- To take it back:
--   "shop.notes"
--     Before its COMMIT nothing has changed. Afterwards, within seven days:
--     CREATE OR REPLACE TABLE `analytics-1`.`shop`.`notes` AS SELECT * FROM `analytics-1`.`shop`.`notes` FOR SYSTEM_TIME AS OF TIMESTAMP '<TIME before the load>';
--     and delete this job's row from the ledger, so that it can be loaded again.
