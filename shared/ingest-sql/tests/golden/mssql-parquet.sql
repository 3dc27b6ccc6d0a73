-- Loads an extraction into SQL Server. Written by sqlextract VERSION.
--
-- Run it so that it stops at the first error and replaces nothing:
--
--   sqlcmd -b -x -i FILE
--
-- Each table is loaded beside its target, counted, and published in one transaction. A second run changes
-- nothing.
-- It needs SQL Server 2022 or newer with PolyBase installed and enabled, or Azure SQL Managed Instance.
--
-- Note:
--   That SQL Server reads zstd in Parquet is not documented: snappy is.
--
-- job: "orders-0123abcd"
-- finished: "2026-01-02T03:05:05Z"
-- manifest: "s3://lake/exports/orders-0123abcd/manifest.json"
-- manifest sha256: 05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f
-- mode: append
-- table: "shop.orders" from "shop.orders", rows: 5, chunks: 2
-- table: "shop.empty" from "shop.empty", rows: 0, chunks: 0

SET NOCOUNT ON;
SET XACT_ABORT ON;
SET QUOTED_IDENTIFIER ON;
GO
USE [analytics];
GO

-- ==== "shop.orders"

-- Schema, ledger, table.
IF SCHEMA_ID(N'shop') IS NULL EXEC (N'CREATE SCHEMA [shop]');
GO
IF OBJECT_ID(N'[shop].[sqlextract_loads]', N'U') IS NULL
CREATE TABLE [shop].[sqlextract_loads] (
  job NVARCHAR(120) NOT NULL,
  table_name NVARCHAR(128) NOT NULL,
  row_count BIGINT NOT NULL,
  loaded_at DATETIMEOFFSET(6) NOT NULL DEFAULT SYSDATETIMEOFFSET(),
  PRIMARY KEY (job, table_name)
);
IF OBJECT_ID(N'[shop].[orders]', N'U') IS NULL
CREATE TABLE [shop].[orders] (
  [id] BIGINT NOT NULL,
  [ok] BIT NULL,
  [small] SMALLINT NULL,
  [int] INT NULL,
  [real] REAL NULL,
  [double] FLOAT(53) NULL,
  [price] DECIMAL(10,2) NULL,
  [uuid] UNIQUEIDENTIFIER NULL,
  [json] NVARCHAR(MAX) NULL,
  [jsonb] NVARCHAR(MAX) NULL,
  [array] NVARCHAR(MAX) NULL,
  [bytes] VARBINARY(MAX) NULL,
  [day] DATE NULL,
  [moment] DATETIME2(6) NULL,
  [instant] DATETIMEOFFSET(6) NULL,
  [text] NVARCHAR(MAX) NULL,
  [numeric] NVARCHAR(MAX) NULL,
  [interval] NVARCHAR(MAX) NULL,
  [inet] NVARCHAR(MAX) NULL,
  [int4range] NVARCHAR(MAX) NULL,
  [mood] NVARCHAR(MAX) NULL,
  [hstore] NVARCHAR(MAX) NULL
);
GO

-- Stops where the table is not what the extraction needs.
DECLARE @difference NVARCHAR(MAX) = (
SELECT STRING_AGG(CAST(difference AS NVARCHAR(MAX)), N'; ') FROM (
  SELECT column_name + CASE column_name
    WHEN N'id' THEN CASE WHEN NOT (data_type IN (N'bigint')) THEN N' is ' + data_type + N', which cannot hold BIGINT' END
    WHEN N'ok' THEN CASE WHEN NOT (data_type IN (N'bit')) THEN N' is ' + data_type + N', which cannot hold BIT' END
    WHEN N'small' THEN CASE WHEN NOT (data_type IN (N'smallint', N'int', N'bigint')) THEN N' is ' + data_type + N', which cannot hold SMALLINT' END
    WHEN N'int' THEN CASE WHEN NOT (data_type IN (N'int', N'bigint')) THEN N' is ' + data_type + N', which cannot hold INT' END
    WHEN N'real' THEN CASE WHEN NOT (data_type IN (N'real', N'float')) THEN N' is ' + data_type + N', which cannot hold REAL' END
    WHEN N'double' THEN CASE WHEN NOT (data_type = N'float' AND numeric_precision >= 53) THEN N' is ' + data_type + N', which cannot hold FLOAT(53)' END
    WHEN N'price' THEN CASE WHEN NOT (data_type IN (N'decimal', N'numeric') AND numeric_scale >= 2 AND numeric_precision - numeric_scale >= 8) THEN N' is ' + data_type + N', which cannot hold DECIMAL(10,2)' END
    WHEN N'uuid' THEN CASE WHEN NOT (data_type IN (N'uniqueidentifier')) THEN N' is ' + data_type + N', which cannot hold UNIQUEIDENTIFIER' END
    WHEN N'json' THEN CASE WHEN NOT (data_type IN (N'nvarchar') AND (character_maximum_length = -1)) THEN N' is ' + data_type + N', which cannot hold NVARCHAR(MAX)' END
    WHEN N'jsonb' THEN CASE WHEN NOT (data_type IN (N'nvarchar') AND (character_maximum_length = -1)) THEN N' is ' + data_type + N', which cannot hold NVARCHAR(MAX)' END
    WHEN N'array' THEN CASE WHEN NOT (data_type IN (N'nvarchar') AND (character_maximum_length = -1)) THEN N' is ' + data_type + N', which cannot hold NVARCHAR(MAX)' END
    WHEN N'bytes' THEN CASE WHEN NOT (data_type IN (N'varbinary') AND (character_maximum_length = -1)) THEN N' is ' + data_type + N', which cannot hold VARBINARY(MAX)' END
    WHEN N'day' THEN CASE WHEN NOT (data_type IN (N'date')) THEN N' is ' + data_type + N', which cannot hold DATE' END
    WHEN N'moment' THEN CASE WHEN NOT (data_type = N'datetime2' AND datetime_precision >= 6) THEN N' is ' + data_type + N', which cannot hold DATETIME2(6)' END
    WHEN N'instant' THEN CASE WHEN NOT (data_type = N'datetimeoffset' AND datetime_precision >= 6) THEN N' is ' + data_type + N', which cannot hold DATETIMEOFFSET(6)' END
    WHEN N'text' THEN CASE WHEN NOT (data_type IN (N'nvarchar') AND (character_maximum_length = -1)) THEN N' is ' + data_type + N', which cannot hold NVARCHAR(MAX)' END
    WHEN N'numeric' THEN CASE WHEN NOT (data_type IN (N'nvarchar') AND (character_maximum_length = -1)) THEN N' is ' + data_type + N', which cannot hold NVARCHAR(MAX)' END
    WHEN N'interval' THEN CASE WHEN NOT (data_type IN (N'nvarchar') AND (character_maximum_length = -1)) THEN N' is ' + data_type + N', which cannot hold NVARCHAR(MAX)' END
    WHEN N'inet' THEN CASE WHEN NOT (data_type IN (N'nvarchar') AND (character_maximum_length = -1)) THEN N' is ' + data_type + N', which cannot hold NVARCHAR(MAX)' END
    WHEN N'int4range' THEN CASE WHEN NOT (data_type IN (N'nvarchar') AND (character_maximum_length = -1)) THEN N' is ' + data_type + N', which cannot hold NVARCHAR(MAX)' END
    WHEN N'mood' THEN CASE WHEN NOT (data_type IN (N'nvarchar') AND (character_maximum_length = -1)) THEN N' is ' + data_type + N', which cannot hold NVARCHAR(MAX)' END
    WHEN N'hstore' THEN CASE WHEN NOT (data_type IN (N'nvarchar') AND (character_maximum_length = -1)) THEN N' is ' + data_type + N', which cannot hold NVARCHAR(MAX)' END
    ELSE N' is not in the extraction' END AS difference
  FROM (SELECT TABLE_SCHEMA AS table_schema, TABLE_NAME AS table_name, COLUMN_NAME AS column_name, IS_NULLABLE AS is_nullable, DATA_TYPE AS data_type, CHARACTER_MAXIMUM_LENGTH AS character_maximum_length, NUMERIC_PRECISION AS numeric_precision, NUMERIC_SCALE AS numeric_scale, DATETIME_PRECISION AS datetime_precision FROM INFORMATION_SCHEMA.COLUMNS) AS told WHERE table_schema = N'shop' AND table_name = N'orders'
  UNION ALL
  SELECT w.column_name + N' is missing' FROM (SELECT N'id' AS column_name UNION ALL SELECT N'ok' UNION ALL SELECT N'small' UNION ALL SELECT N'int' UNION ALL SELECT N'real' UNION ALL SELECT N'double' UNION ALL SELECT N'price' UNION ALL SELECT N'uuid' UNION ALL SELECT N'json' UNION ALL SELECT N'jsonb' UNION ALL SELECT N'array' UNION ALL SELECT N'bytes' UNION ALL SELECT N'day' UNION ALL SELECT N'moment' UNION ALL SELECT N'instant' UNION ALL SELECT N'text' UNION ALL SELECT N'numeric' UNION ALL SELECT N'interval' UNION ALL SELECT N'inet' UNION ALL SELECT N'int4range' UNION ALL SELECT N'mood' UNION ALL SELECT N'hstore') AS w
  WHERE w.column_name NOT IN (SELECT column_name FROM (SELECT TABLE_SCHEMA AS table_schema, TABLE_NAME AS table_name, COLUMN_NAME AS column_name, IS_NULLABLE AS is_nullable, DATA_TYPE AS data_type, CHARACTER_MAXIMUM_LENGTH AS character_maximum_length, NUMERIC_PRECISION AS numeric_precision, NUMERIC_SCALE AS numeric_scale, DATETIME_PRECISION AS datetime_precision FROM INFORMATION_SCHEMA.COLUMNS) AS told WHERE table_schema = N'shop' AND table_name = N'orders')
) AS found
WHERE difference IS NOT NULL
);
IF @difference IS NOT NULL
BEGIN
  DECLARE @message NVARCHAR(2048) = LEFT(CONCAT(N'shop.orders does not fit: ', @difference), 2048);
  THROW 50001, @message, 1;
END;
GO

-- Staging table.
IF NOT EXISTS (SELECT 1 FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'orders')
BEGIN
  DROP TABLE IF EXISTS [shop].[orders__sqlextract_27067f5c];
  CREATE TABLE [shop].[orders__sqlextract_27067f5c] (
    [id] BIGINT NULL,
    [ok] BIT NULL,
    [small] SMALLINT NULL,
    [int] INT NULL,
    [real] REAL NULL,
    [double] FLOAT(53) NULL,
    [price] DECIMAL(10,2) NULL,
    [uuid] UNIQUEIDENTIFIER NULL,
    [json] NVARCHAR(MAX) NULL,
    [jsonb] NVARCHAR(MAX) NULL,
    [array] NVARCHAR(MAX) NULL,
    [bytes] VARBINARY(MAX) NULL,
    [day] DATE NULL,
    [moment] DATETIME2(6) NULL,
    [instant] DATETIMEOFFSET(6) NULL,
    [text] NVARCHAR(MAX) NULL,
    [numeric] NVARCHAR(MAX) NULL,
    [interval] NVARCHAR(MAX) NULL,
    [inet] NVARCHAR(MAX) NULL,
    [int4range] NVARCHAR(MAX) NULL,
    [mood] NVARCHAR(MAX) NULL,
    [hstore] NVARCHAR(MAX) NULL
  );
END;
GO

-- Load, 1 of 2.
IF NOT EXISTS (SELECT 1 FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'orders')
BEGIN
  INSERT INTO [shop].[orders__sqlextract_27067f5c] WITH (TABLOCK) ([id], [ok], [small], [int], [real], [double], [price], [uuid], [json], [jsonb], [array], [bytes], [day], [moment], [instant], [text], [numeric], [interval], [inet], [int4range], [mood], [hstore])
  SELECT r.[id], r.[ok], r.[small], r.[int], r.[real], r.[double], r.[price], CAST(r.[uuid] AS UNIQUEIDENTIFIER), r.[json], r.[jsonb], r.[array], r.[bytes], r.[day], r.[moment], TODATETIMEOFFSET(r.[instant], '+00:00'), r.[text], r.[numeric], r.[interval], r.[inet], r.[int4range], r.[mood], r.[hstore]
  FROM OPENROWSET(BULK '/orders-0123abcd/data/shop.orders/g0001/batch-0000000-00000000000000aa-00.parquet', FORMAT = 'PARQUET', DATA_SOURCE = 'lake')
  WITH (
    [id] BIGINT,
    [ok] BIT,
    [small] SMALLINT,
    [int] INT,
    [real] REAL,
    [double] FLOAT(53),
    [price] DECIMAL(10,2),
    [uuid] VARCHAR(36) COLLATE Latin1_General_100_BIN2_UTF8,
    [json] VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8,
    [jsonb] VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8,
    [array] VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8,
    [bytes] VARBINARY(MAX),
    [day] DATE,
    [moment] DATETIME2(6),
    [instant] DATETIME2(6),
    [text] VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8,
    [numeric] VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8,
    [interval] VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8,
    [inet] VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8,
    [int4range] VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8,
    [mood] VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8,
    [hstore] VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8
  ) AS r;
  IF @@ROWCOUNT <> 2 THROW 50002, N'data/shop.orders/g0001/batch-0000000-00000000000000aa-00.parquet does not hold 2 rows', 1;
END;
GO

-- Load, 2 of 2.
IF NOT EXISTS (SELECT 1 FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'orders')
BEGIN
  INSERT INTO [shop].[orders__sqlextract_27067f5c] WITH (TABLOCK) ([id], [ok], [small], [int], [real], [double], [price], [uuid], [json], [jsonb], [array], [bytes], [day], [moment], [instant], [text], [numeric], [interval], [inet], [int4range], [mood], [hstore])
  SELECT r.[id], r.[ok], r.[small], r.[int], r.[real], r.[double], r.[price], CAST(r.[uuid] AS UNIQUEIDENTIFIER), r.[json], r.[jsonb], r.[array], r.[bytes], r.[day], r.[moment], TODATETIMEOFFSET(r.[instant], '+00:00'), r.[text], r.[numeric], r.[interval], r.[inet], r.[int4range], r.[mood], r.[hstore]
  FROM OPENROWSET(BULK '/orders-0123abcd/data/shop.orders/g0001/batch-0000001-00000000000000aa-00.parquet', FORMAT = 'PARQUET', DATA_SOURCE = 'lake')
  WITH (
    [id] BIGINT,
    [ok] BIT,
    [small] SMALLINT,
    [int] INT,
    [real] REAL,
    [double] FLOAT(53),
    [price] DECIMAL(10,2),
    [uuid] VARCHAR(36) COLLATE Latin1_General_100_BIN2_UTF8,
    [json] VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8,
    [jsonb] VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8,
    [array] VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8,
    [bytes] VARBINARY(MAX),
    [day] DATE,
    [moment] DATETIME2(6),
    [instant] DATETIME2(6),
    [text] VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8,
    [numeric] VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8,
    [interval] VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8,
    [inet] VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8,
    [int4range] VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8,
    [mood] VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8,
    [hstore] VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8
  ) AS r;
  IF @@ROWCOUNT <> 3 THROW 50002, N'data/shop.orders/g0001/batch-0000001-00000000000000aa-00.parquet does not hold 3 rows', 1;
END;
GO

-- Check: rows in all; every file's rows were counted as it was loaded.
IF NOT EXISTS (SELECT 1 FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'orders')
BEGIN
  DECLARE @loaded BIGINT = (SELECT COUNT_BIG(*) FROM [shop].[orders__sqlextract_27067f5c]);
  IF @loaded <> 5
  BEGIN
    DECLARE @message NVARCHAR(2048) = CONCAT(N'shop.orders: ', @loaded, N' rows were loaded, the manifest says 5');
    THROW 50003, @message, 1;
  END;
END;
GO

-- Publish.
IF NOT EXISTS (SELECT 1 FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'orders')
BEGIN
  BEGIN TRY
    DECLARE @loaded BIGINT = (SELECT COUNT_BIG(*) FROM [shop].[orders__sqlextract_27067f5c]);
    IF @loaded <> 5
    BEGIN
      DECLARE @message NVARCHAR(2048) = CONCAT(N'shop.orders: ', @loaded, N' rows were loaded, the manifest says 5');
      THROW 50003, @message, 1;
    END;
    BEGIN TRANSACTION;
    INSERT INTO [shop].[sqlextract_loads] (job, table_name, row_count)
    SELECT N'orders-0123abcd', N'orders', COUNT_BIG(*) FROM [shop].[orders__sqlextract_27067f5c];
    INSERT INTO [shop].[orders] WITH (TABLOCK) ([id], [ok], [small], [int], [real], [double], [price], [uuid], [json], [jsonb], [array], [bytes], [day], [moment], [instant], [text], [numeric], [interval], [inet], [int4range], [mood], [hstore])
    SELECT [id], [ok], [small], [int], [real], [double], [price], [uuid], [json], [jsonb], [array], [bytes], [day], [moment], [instant], [text], [numeric], [interval], [inet], [int4range], [mood], [hstore] FROM [shop].[orders__sqlextract_27067f5c];
    COMMIT TRANSACTION;
  END TRY
  BEGIN CATCH
    IF XACT_STATE() <> 0 ROLLBACK TRANSACTION;
    THROW;
  END CATCH;
END;
GO

-- Clean up.
DROP TABLE IF EXISTS [shop].[orders__sqlextract_27067f5c];
GO
SELECT job, table_name, row_count, loaded_at FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'orders';
GO

-- ==== "shop.empty"

-- Schema, ledger, table.
IF SCHEMA_ID(N'shop') IS NULL EXEC (N'CREATE SCHEMA [shop]');
GO
IF OBJECT_ID(N'[shop].[sqlextract_loads]', N'U') IS NULL
CREATE TABLE [shop].[sqlextract_loads] (
  job NVARCHAR(120) NOT NULL,
  table_name NVARCHAR(128) NOT NULL,
  row_count BIGINT NOT NULL,
  loaded_at DATETIMEOFFSET(6) NOT NULL DEFAULT SYSDATETIMEOFFSET(),
  PRIMARY KEY (job, table_name)
);
IF OBJECT_ID(N'[shop].[empty]', N'U') IS NULL
CREATE TABLE [shop].[empty] (
  [id] INT NULL
);
GO

-- Stops where the table is not what the extraction needs.
DECLARE @difference NVARCHAR(MAX) = (
SELECT STRING_AGG(CAST(difference AS NVARCHAR(MAX)), N'; ') FROM (
  SELECT column_name + CASE column_name
    WHEN N'id' THEN CASE WHEN NOT (data_type IN (N'int', N'bigint')) THEN N' is ' + data_type + N', which cannot hold INT' END
    ELSE N' is not in the extraction' END AS difference
  FROM (SELECT TABLE_SCHEMA AS table_schema, TABLE_NAME AS table_name, COLUMN_NAME AS column_name, IS_NULLABLE AS is_nullable, DATA_TYPE AS data_type, CHARACTER_MAXIMUM_LENGTH AS character_maximum_length, NUMERIC_PRECISION AS numeric_precision, NUMERIC_SCALE AS numeric_scale, DATETIME_PRECISION AS datetime_precision FROM INFORMATION_SCHEMA.COLUMNS) AS told WHERE table_schema = N'shop' AND table_name = N'empty'
  UNION ALL
  SELECT w.column_name + N' is missing' FROM (SELECT N'id' AS column_name) AS w
  WHERE w.column_name NOT IN (SELECT column_name FROM (SELECT TABLE_SCHEMA AS table_schema, TABLE_NAME AS table_name, COLUMN_NAME AS column_name, IS_NULLABLE AS is_nullable, DATA_TYPE AS data_type, CHARACTER_MAXIMUM_LENGTH AS character_maximum_length, NUMERIC_PRECISION AS numeric_precision, NUMERIC_SCALE AS numeric_scale, DATETIME_PRECISION AS datetime_precision FROM INFORMATION_SCHEMA.COLUMNS) AS told WHERE table_schema = N'shop' AND table_name = N'empty')
) AS found
WHERE difference IS NOT NULL
);
IF @difference IS NOT NULL
BEGIN
  DECLARE @message NVARCHAR(2048) = LEFT(CONCAT(N'shop.empty does not fit: ', @difference), 2048);
  THROW 50001, @message, 1;
END;
GO

-- Staging table.
IF NOT EXISTS (SELECT 1 FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'empty')
BEGIN
  DROP TABLE IF EXISTS [shop].[empty__sqlextract_fb715385];
  CREATE TABLE [shop].[empty__sqlextract_fb715385] (
    [id] INT NULL
  );
END;
GO

-- Check: rows in all; every file's rows were counted as it was loaded.
IF NOT EXISTS (SELECT 1 FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'empty')
BEGIN
  DECLARE @loaded BIGINT = (SELECT COUNT_BIG(*) FROM [shop].[empty__sqlextract_fb715385]);
  IF @loaded <> 0
  BEGIN
    DECLARE @message NVARCHAR(2048) = CONCAT(N'shop.empty: ', @loaded, N' rows were loaded, the manifest says 0');
    THROW 50003, @message, 1;
  END;
END;
GO

-- Publish.
IF NOT EXISTS (SELECT 1 FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'empty')
BEGIN
  BEGIN TRY
    DECLARE @loaded BIGINT = (SELECT COUNT_BIG(*) FROM [shop].[empty__sqlextract_fb715385]);
    IF @loaded <> 0
    BEGIN
      DECLARE @message NVARCHAR(2048) = CONCAT(N'shop.empty: ', @loaded, N' rows were loaded, the manifest says 0');
      THROW 50003, @message, 1;
    END;
    BEGIN TRANSACTION;
    INSERT INTO [shop].[sqlextract_loads] (job, table_name, row_count)
    SELECT N'orders-0123abcd', N'empty', COUNT_BIG(*) FROM [shop].[empty__sqlextract_fb715385];
    INSERT INTO [shop].[empty] WITH (TABLOCK) ([id])
    SELECT [id] FROM [shop].[empty__sqlextract_fb715385];
    COMMIT TRANSACTION;
  END TRY
  BEGIN CATCH
    IF XACT_STATE() <> 0 ROLLBACK TRANSACTION;
    THROW;
  END CATCH;
END;
GO

-- Clean up.
DROP TABLE IF EXISTS [shop].[empty__sqlextract_fb715385];
GO
SELECT job, table_name, row_count, loaded_at FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'empty';
GO
--
-- To take it back:
--   "shop.orders"
--     Before its COMMIT nothing has changed. Afterwards restore a backup; where the table was empty before:
--     TRUNCATE TABLE [shop].[orders];
--     and delete this job's row from the ledger, so that it can be loaded again.
--   "shop.empty"
--     Before its COMMIT nothing has changed. Afterwards restore a backup; where the table was empty before:
--     TRUNCATE TABLE [shop].[empty];
--     and delete this job's row from the ledger, so that it can be loaded again.
