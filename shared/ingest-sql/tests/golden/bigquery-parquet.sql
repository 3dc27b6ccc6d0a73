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
-- table: "shop.orders" from "shop.orders", rows: 5, chunks: 2
-- table: "shop.empty" from "shop.empty", rows: 0, chunks: 0

-- ==== "shop.orders"

-- Ledger and table.
CREATE TABLE IF NOT EXISTS `analytics-1`.`shop`.`sqlextract_loads` (
  job STRING NOT NULL,
  table_name STRING NOT NULL,
  row_count INT64 NOT NULL,
  loaded_at TIMESTAMP NOT NULL
);
CREATE TABLE IF NOT EXISTS `analytics-1`.`shop`.`orders` (
  `id` INT64 NOT NULL,
  `ok` BOOL,
  `small` INT64,
  `int` INT64,
  `real` FLOAT64,
  `double` FLOAT64,
  `price` NUMERIC(10, 2),
  `uuid` STRING,
  `json` JSON,
  `jsonb` JSON,
  `array` JSON,
  `bytes` BYTES,
  `day` DATE,
  `moment` DATETIME,
  `instant` TIMESTAMP,
  `text` STRING,
  `numeric` STRING,
  `interval` STRING,
  `inet` STRING,
  `int4range` STRING,
  `mood` STRING,
  `hstore` STRING
);

-- Stops where the table is not what the extraction needs.
SELECT IF(COUNT(*) = 0, 'the table fits', ERROR('shop.orders does not fit: ' || STRING_AGG(difference, '; ' ORDER BY difference))) AS comparison
FROM (
  SELECT column_name || CASE lower(column_name)
    WHEN 'id' THEN CASE WHEN NOT (data_type IN ('INT64')) THEN ' is ' || data_type || ', which cannot hold INT64' END
    WHEN 'ok' THEN CASE WHEN NOT (data_type IN ('BOOL')) THEN ' is ' || data_type || ', which cannot hold BOOL' END
    WHEN 'small' THEN CASE WHEN NOT (data_type IN ('INT64')) THEN ' is ' || data_type || ', which cannot hold INT64' END
    WHEN 'int' THEN CASE WHEN NOT (data_type IN ('INT64')) THEN ' is ' || data_type || ', which cannot hold INT64' END
    WHEN 'real' THEN CASE WHEN NOT (data_type IN ('FLOAT64')) THEN ' is ' || data_type || ', which cannot hold FLOAT64' END
    WHEN 'double' THEN CASE WHEN NOT (data_type IN ('FLOAT64')) THEN ' is ' || data_type || ', which cannot hold FLOAT64' END
    WHEN 'price' THEN CASE WHEN NOT (data_type IN ('NUMERIC', 'BIGNUMERIC') OR COALESCE(COALESCE(CAST(REGEXP_EXTRACT(data_type, r', (\d+)\)') AS INT64), 0) >= 2 AND CAST(REGEXP_EXTRACT(data_type, r'NUMERIC\((\d+)') AS INT64) - COALESCE(CAST(REGEXP_EXTRACT(data_type, r', (\d+)\)') AS INT64), 0) >= 8, FALSE)) THEN ' is ' || data_type || ', which cannot hold NUMERIC(10, 2)' END
    WHEN 'uuid' THEN CASE WHEN NOT (data_type = 'STRING' OR COALESCE(CAST(REGEXP_EXTRACT(data_type, r'^STRING\((\d+)\)$') AS INT64) >= 36, FALSE)) THEN ' is ' || data_type || ', which cannot hold STRING' END
    WHEN 'json' THEN CASE WHEN NOT (data_type IN ('JSON')) THEN ' is ' || data_type || ', which cannot hold JSON' END
    WHEN 'jsonb' THEN CASE WHEN NOT (data_type IN ('JSON')) THEN ' is ' || data_type || ', which cannot hold JSON' END
    WHEN 'array' THEN CASE WHEN NOT (data_type IN ('JSON')) THEN ' is ' || data_type || ', which cannot hold JSON' END
    WHEN 'bytes' THEN CASE WHEN NOT (data_type IN ('BYTES')) THEN ' is ' || data_type || ', which cannot hold BYTES' END
    WHEN 'day' THEN CASE WHEN NOT (data_type IN ('DATE')) THEN ' is ' || data_type || ', which cannot hold DATE' END
    WHEN 'moment' THEN CASE WHEN NOT (data_type IN ('DATETIME')) THEN ' is ' || data_type || ', which cannot hold DATETIME' END
    WHEN 'instant' THEN CASE WHEN NOT (data_type IN ('TIMESTAMP')) THEN ' is ' || data_type || ', which cannot hold TIMESTAMP' END
    WHEN 'text' THEN CASE WHEN NOT (data_type IN ('STRING')) THEN ' is ' || data_type || ', which cannot hold STRING' END
    WHEN 'numeric' THEN CASE WHEN NOT (data_type IN ('STRING')) THEN ' is ' || data_type || ', which cannot hold STRING' END
    WHEN 'interval' THEN CASE WHEN NOT (data_type IN ('STRING')) THEN ' is ' || data_type || ', which cannot hold STRING' END
    WHEN 'inet' THEN CASE WHEN NOT (data_type IN ('STRING')) THEN ' is ' || data_type || ', which cannot hold STRING' END
    WHEN 'int4range' THEN CASE WHEN NOT (data_type IN ('STRING')) THEN ' is ' || data_type || ', which cannot hold STRING' END
    WHEN 'mood' THEN CASE WHEN NOT (data_type IN ('STRING')) THEN ' is ' || data_type || ', which cannot hold STRING' END
    WHEN 'hstore' THEN CASE WHEN NOT (data_type IN ('STRING')) THEN ' is ' || data_type || ', which cannot hold STRING' END
    ELSE ' is not in the extraction' END AS difference
  FROM `analytics-1`.`shop`.INFORMATION_SCHEMA.COLUMNS WHERE table_name = 'orders'
  UNION ALL
  SELECT w.column_name || ' is missing' FROM (SELECT 'id' AS column_name UNION ALL SELECT 'ok' UNION ALL SELECT 'small' UNION ALL SELECT 'int' UNION ALL SELECT 'real' UNION ALL SELECT 'double' UNION ALL SELECT 'price' UNION ALL SELECT 'uuid' UNION ALL SELECT 'json' UNION ALL SELECT 'jsonb' UNION ALL SELECT 'array' UNION ALL SELECT 'bytes' UNION ALL SELECT 'day' UNION ALL SELECT 'moment' UNION ALL SELECT 'instant' UNION ALL SELECT 'text' UNION ALL SELECT 'numeric' UNION ALL SELECT 'interval' UNION ALL SELECT 'inet' UNION ALL SELECT 'int4range' UNION ALL SELECT 'mood' UNION ALL SELECT 'hstore') AS w
  WHERE w.column_name NOT IN (SELECT lower(column_name) FROM `analytics-1`.`shop`.INFORMATION_SCHEMA.COLUMNS WHERE table_name = 'orders')
) AS found
WHERE difference IS NOT NULL;

-- Load.
IF NOT EXISTS (SELECT 1 FROM `analytics-1`.`shop`.`sqlextract_loads` WHERE job = 'orders-0123abcd' AND table_name = 'orders') THEN
  LOAD DATA OVERWRITE `analytics-1`.`shop`.`orders__sqlextract_27067f5c` (
    `id` INT64,
    `ok` BOOL,
    `small` INT64,
    `int` INT64,
    `real` FLOAT64,
    `double` FLOAT64,
    `price` NUMERIC(10, 2),
    `uuid` STRING,
    `json` JSON,
    `jsonb` JSON,
    `array` JSON,
    `bytes` BYTES,
    `day` DATE,
    `moment` DATETIME,
    `instant` TIMESTAMP,
    `text` STRING,
    `numeric` STRING,
    `interval` STRING,
    `inet` STRING,
    `int4range` STRING,
    `mood` STRING,
    `hstore` STRING
  )
  FROM FILES (
    format = 'PARQUET',
    enable_list_inference = TRUE,
    uris = [
      'gs://lake/exports/orders-0123abcd/data/shop.orders/g0001/batch-0000000-00000000000000aa-00.parquet',
      'gs://lake/exports/orders-0123abcd/data/shop.orders/g0001/batch-0000001-00000000000000aa-00.parquet'
    ]
  );
END IF;

-- Check: rows in all; BigQuery does not tell them per file.
IF NOT EXISTS (SELECT 1 FROM `analytics-1`.`shop`.`sqlextract_loads` WHERE job = 'orders-0123abcd' AND table_name = 'orders') THEN
  SELECT IF(COUNT(*) = 5, COUNT(*), ERROR('shop.orders: ' || COUNT(*) || ' rows were loaded, the manifest says 5')) AS rows_loaded
  FROM `analytics-1`.`shop`.`orders__sqlextract_27067f5c`;
END IF;

-- Publish.
IF NOT EXISTS (SELECT 1 FROM `analytics-1`.`shop`.`sqlextract_loads` WHERE job = 'orders-0123abcd' AND table_name = 'orders') THEN
  BEGIN TRANSACTION;
  INSERT INTO `analytics-1`.`shop`.`orders` (`id`, `ok`, `small`, `int`, `real`, `double`, `price`, `uuid`, `json`, `jsonb`, `array`, `bytes`, `day`, `moment`, `instant`, `text`, `numeric`, `interval`, `inet`, `int4range`, `mood`, `hstore`)
  SELECT `id`, `ok`, `small`, `int`, `real`, `double`, `price`, `uuid`, `json`, `jsonb`, `array`, `bytes`, `day`, `moment`, `instant`, `text`, `numeric`, `interval`, `inet`, `int4range`, `mood`, `hstore` FROM `analytics-1`.`shop`.`orders__sqlextract_27067f5c`;
  INSERT INTO `analytics-1`.`shop`.`sqlextract_loads` (job, table_name, row_count, loaded_at)
  SELECT 'orders-0123abcd', 'orders', COUNT(*), CURRENT_TIMESTAMP() FROM `analytics-1`.`shop`.`orders__sqlextract_27067f5c`;
  COMMIT TRANSACTION;
END IF;

-- What the ledger says.
SELECT row_count, loaded_at FROM `analytics-1`.`shop`.`sqlextract_loads` WHERE job = 'orders-0123abcd' AND table_name = 'orders';

-- Clean up.
DROP TABLE IF EXISTS `analytics-1`.`shop`.`orders__sqlextract_27067f5c`;

-- ==== "shop.empty"

-- Ledger and table.
CREATE TABLE IF NOT EXISTS `analytics-1`.`shop`.`sqlextract_loads` (
  job STRING NOT NULL,
  table_name STRING NOT NULL,
  row_count INT64 NOT NULL,
  loaded_at TIMESTAMP NOT NULL
);
CREATE TABLE IF NOT EXISTS `analytics-1`.`shop`.`empty` (
  `id` INT64
);

-- Stops where the table is not what the extraction needs.
SELECT IF(COUNT(*) = 0, 'the table fits', ERROR('shop.empty does not fit: ' || STRING_AGG(difference, '; ' ORDER BY difference))) AS comparison
FROM (
  SELECT column_name || CASE lower(column_name)
    WHEN 'id' THEN CASE WHEN NOT (data_type IN ('INT64')) THEN ' is ' || data_type || ', which cannot hold INT64' END
    ELSE ' is not in the extraction' END AS difference
  FROM `analytics-1`.`shop`.INFORMATION_SCHEMA.COLUMNS WHERE table_name = 'empty'
  UNION ALL
  SELECT w.column_name || ' is missing' FROM (SELECT 'id' AS column_name) AS w
  WHERE w.column_name NOT IN (SELECT lower(column_name) FROM `analytics-1`.`shop`.INFORMATION_SCHEMA.COLUMNS WHERE table_name = 'empty')
) AS found
WHERE difference IS NOT NULL;

-- Staging table.
IF NOT EXISTS (SELECT 1 FROM `analytics-1`.`shop`.`sqlextract_loads` WHERE job = 'orders-0123abcd' AND table_name = 'empty') THEN
  CREATE OR REPLACE TABLE `analytics-1`.`shop`.`empty__sqlextract_fb715385` (
    `id` INT64
  );
END IF;

-- Check: rows in all; BigQuery does not tell them per file.
IF NOT EXISTS (SELECT 1 FROM `analytics-1`.`shop`.`sqlextract_loads` WHERE job = 'orders-0123abcd' AND table_name = 'empty') THEN
  SELECT IF(COUNT(*) = 0, COUNT(*), ERROR('shop.empty: ' || COUNT(*) || ' rows were loaded, the manifest says 0')) AS rows_loaded
  FROM `analytics-1`.`shop`.`empty__sqlextract_fb715385`;
END IF;

-- Publish.
IF NOT EXISTS (SELECT 1 FROM `analytics-1`.`shop`.`sqlextract_loads` WHERE job = 'orders-0123abcd' AND table_name = 'empty') THEN
  BEGIN TRANSACTION;
  INSERT INTO `analytics-1`.`shop`.`empty` (`id`)
  SELECT `id` FROM `analytics-1`.`shop`.`empty__sqlextract_fb715385`;
  INSERT INTO `analytics-1`.`shop`.`sqlextract_loads` (job, table_name, row_count, loaded_at)
  SELECT 'orders-0123abcd', 'empty', COUNT(*), CURRENT_TIMESTAMP() FROM `analytics-1`.`shop`.`empty__sqlextract_fb715385`;
  COMMIT TRANSACTION;
END IF;

-- What the ledger says.
SELECT row_count, loaded_at FROM `analytics-1`.`shop`.`sqlextract_loads` WHERE job = 'orders-0123abcd' AND table_name = 'empty';

-- Clean up.
DROP TABLE IF EXISTS `analytics-1`.`shop`.`empty__sqlextract_fb715385`;
--
-- To take it back:
--   "shop.orders"
--     Before its COMMIT nothing has changed. Afterwards, within seven days:
--     CREATE OR REPLACE TABLE `analytics-1`.`shop`.`orders` AS SELECT * FROM `analytics-1`.`shop`.`orders` FOR SYSTEM_TIME AS OF TIMESTAMP '<TIME before the load>';
--     and delete this job's row from the ledger, so that it can be loaded again.
--   "shop.empty"
--     Before its COMMIT nothing has changed. Afterwards, within seven days:
--     CREATE OR REPLACE TABLE `analytics-1`.`shop`.`empty` AS SELECT * FROM `analytics-1`.`shop`.`empty` FOR SYSTEM_TIME AS OF TIMESTAMP '<TIME before the load>';
--     and delete this job's row from the ledger, so that it can be loaded again.
