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
--   How SQL Server reads a quoted empty text ("") is not documented: where NULL and the empty text must differ, extract as Parquet.
--
-- job: "orders-0123abcd"
-- finished: "2026-01-02T03:05:05Z"
-- manifest: "s3://lake/exports/orders-0123abcd/manifest.json"
-- manifest sha256: 05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f
-- mode: append
-- table: "shop.notes" from "shop.notes", rows: 2, chunks: 1

SET NOCOUNT ON;
SET XACT_ABORT ON;
SET QUOTED_IDENTIFIER ON;
GO
USE [analytics];
GO

-- ==== "shop.notes"

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
IF OBJECT_ID(N'[shop].[notes]', N'U') IS NULL
CREATE TABLE [shop].[notes] (
  [id] BIGINT NULL,
  [note] NVARCHAR(MAX) NULL,
  [photo] VARBINARY(MAX) NULL
);
GO

-- Columns that the table does not have yet.
IF COL_LENGTH(N'[shop].[notes]', N'id') IS NULL ALTER TABLE [shop].[notes] ADD [id] BIGINT NULL;
IF COL_LENGTH(N'[shop].[notes]', N'note') IS NULL ALTER TABLE [shop].[notes] ADD [note] NVARCHAR(MAX) NULL;
IF COL_LENGTH(N'[shop].[notes]', N'photo') IS NULL ALTER TABLE [shop].[notes] ADD [photo] VARBINARY(MAX) NULL;
GO

-- Stops where the table is not what the extraction needs.
DECLARE @difference NVARCHAR(MAX) = (
SELECT STRING_AGG(CAST(difference AS NVARCHAR(MAX)), N'; ') FROM (
  SELECT column_name + CASE column_name
    WHEN N'id' THEN CASE WHEN NOT (data_type IN (N'bigint')) THEN N' is ' + data_type + N', which cannot hold BIGINT' END
    WHEN N'note' THEN CASE WHEN NOT (data_type IN (N'nvarchar') AND (character_maximum_length = -1)) THEN N' is ' + data_type + N', which cannot hold NVARCHAR(MAX)' END
    WHEN N'photo' THEN CASE WHEN NOT (data_type IN (N'varbinary') AND (character_maximum_length = -1)) THEN N' is ' + data_type + N', which cannot hold VARBINARY(MAX)' END
    ELSE N' is not in the extraction' END AS difference
  FROM (SELECT TABLE_SCHEMA AS table_schema, TABLE_NAME AS table_name, COLUMN_NAME AS column_name, IS_NULLABLE AS is_nullable, DATA_TYPE AS data_type, CHARACTER_MAXIMUM_LENGTH AS character_maximum_length, NUMERIC_PRECISION AS numeric_precision, NUMERIC_SCALE AS numeric_scale, DATETIME_PRECISION AS datetime_precision FROM INFORMATION_SCHEMA.COLUMNS) AS told WHERE table_schema = N'shop' AND table_name = N'notes'
  UNION ALL
  SELECT w.column_name + N' is missing' FROM (SELECT N'id' AS column_name UNION ALL SELECT N'note' UNION ALL SELECT N'photo') AS w
  WHERE w.column_name NOT IN (SELECT column_name FROM (SELECT TABLE_SCHEMA AS table_schema, TABLE_NAME AS table_name, COLUMN_NAME AS column_name, IS_NULLABLE AS is_nullable, DATA_TYPE AS data_type, CHARACTER_MAXIMUM_LENGTH AS character_maximum_length, NUMERIC_PRECISION AS numeric_precision, NUMERIC_SCALE AS numeric_scale, DATETIME_PRECISION AS datetime_precision FROM INFORMATION_SCHEMA.COLUMNS) AS told WHERE table_schema = N'shop' AND table_name = N'notes')
) AS found
WHERE difference IS NOT NULL
);
IF @difference IS NOT NULL
BEGIN
  DECLARE @message NVARCHAR(2048) = LEFT(CONCAT(N'shop.notes does not fit: ', @difference), 2048);
  THROW 50001, @message, 1;
END;
GO

-- Staging table.
IF NOT EXISTS (SELECT 1 FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'notes')
BEGIN
  DROP TABLE IF EXISTS [shop].[notes__sqlextract_4049a60b];
  CREATE TABLE [shop].[notes__sqlextract_4049a60b] (
    [id] NVARCHAR(MAX) NULL,
    [note] NVARCHAR(MAX) NULL,
    [photo] NVARCHAR(MAX) NULL
  );
END;
GO

-- Load.
IF NOT EXISTS (SELECT 1 FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'notes')
BEGIN
  INSERT INTO [shop].[notes__sqlextract_4049a60b] WITH (TABLOCK) ([id], [note], [photo])
  SELECT r.[id], r.[note], r.[photo]
  FROM OPENROWSET(BULK '/orders-0123abcd/data/shop.notes/g0001/batch-0000000-00000000000000aa-00.csv', FORMAT = 'CSV', FIRSTROW = 2, DATA_SOURCE = 'lake')
  WITH (
    [id] VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8,
    [note] VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8,
    [photo] VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8
  ) AS r;
  IF @@ROWCOUNT <> 2 THROW 50002, N'data/shop.notes/g0001/batch-0000000-00000000000000aa-00.csv does not hold 2 rows', 1;
END;
GO

-- Check: rows in all; every file's rows were counted as it was loaded.
IF NOT EXISTS (SELECT 1 FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'notes')
BEGIN
  DECLARE @loaded BIGINT = (SELECT COUNT_BIG(*) FROM [shop].[notes__sqlextract_4049a60b]);
  IF @loaded <> 2
  BEGIN
    DECLARE @message NVARCHAR(2048) = CONCAT(N'shop.notes: ', @loaded, N' rows were loaded, the manifest says 2');
    THROW 50003, @message, 1;
  END;
END;
GO

-- Publish.
IF NOT EXISTS (SELECT 1 FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'notes')
BEGIN
  BEGIN TRY
    DECLARE @loaded BIGINT = (SELECT COUNT_BIG(*) FROM [shop].[notes__sqlextract_4049a60b]);
    IF @loaded <> 2
    BEGIN
      DECLARE @message NVARCHAR(2048) = CONCAT(N'shop.notes: ', @loaded, N' rows were loaded, the manifest says 2');
      THROW 50003, @message, 1;
    END;
    BEGIN TRANSACTION;
    INSERT INTO [shop].[sqlextract_loads] (job, table_name, row_count)
    SELECT N'orders-0123abcd', N'notes', COUNT_BIG(*) FROM [shop].[notes__sqlextract_4049a60b];
    INSERT INTO [shop].[notes] WITH (TABLOCK) ([id], [note], [photo])
    SELECT CAST([id] AS BIGINT) AS [id], [note], CONVERT(VARBINARY(MAX), [photo], 2) AS [photo] FROM [shop].[notes__sqlextract_4049a60b];
    COMMIT TRANSACTION;
  END TRY
  BEGIN CATCH
    IF XACT_STATE() <> 0 ROLLBACK TRANSACTION;
    THROW;
  END CATCH;
END;
GO

-- Clean up.
DROP TABLE IF EXISTS [shop].[notes__sqlextract_4049a60b];
GO
SELECT job, table_name, row_count, loaded_at FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'notes';
GO
--
-- To take it back:
--   "shop.notes"
--     Before its COMMIT nothing has changed. Afterwards restore a backup; where the table was empty before:
--     TRUNCATE TABLE [shop].[notes];
--     and delete this job's row from the ledger, so that it can be loaded again.
