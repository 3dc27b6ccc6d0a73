"""Statements that a platform refuses or that lose rows: every one must be rejected by the checks that pass our scripts."""

BROKEN = {
    "snowflake": [
        # From the sample scripts that this project began with.
        "COPY INTO target_table\nFROM @stage_name/file.csv\nFILE_FORMAT = (TYPE = 'CSV' SKIP_HEADER = 1)\nON_ERROR = 'CONTINUE'\nPARALLEL = 8;\n",
        "COPY INTO target_table\nFROM @stage_name/file.parquet\nFILE_FORMAT = (TYPE = 'PARQUET')\nON_ERROR = 'CONTINUE'\nPARALLEL = 8;\n",
        "COPY INTO t FROM @s FILES = ('a.csv') FILE_FORMAT = (TYPE = CSV FIELDQUOTE = '\"');\n",
        "COPY INTO t FROM @s FILES = ('a.csv') FILE_FORMAT = (TYPE = CSV SKIP_HEADER = 1) ON_ERROR = IGNORE_ALL;\n",
        "COPY INTO t FROM @s FILES = ('a.parquet') FILE_FORMAT = (TYPE = PARQUET) MATCH_BY_COLUMN_NAME = YES;\n",
        "COPY INTO t FROM @s FILES = ('a.csv')\nFILE_FORMAT = (TYPE = CSV SKIP_HEADER = 1);\n",
        "CREATE TABLE t (a NUMBER(10,0);\n",
    ],
    "bigquery": [
        "LOAD DATA INTO target_table\nFROM FILES (\n  format = 'CSV',\n  uris = ['gs://bucket/file_*.csv'],\n  skip_leading_rows = 1\n)\nWITH CONNECTION `project.region.connection`;\n",
        "LOAD DATA INTO target_table\nFROM FILES (\n  format = 'PARQUET',\n  uris = ['gs://bucket/file_*.parquet']\n)\nWITH CONNECTION `project.region.connection`;\n",
        "LOAD DATA OVERWRITE `d`.`t` (\n  `a` INT64\n)\nFROM FILES (\n  format = 'CSV',\n  parallel = 8,\n  uris = ['gs://b/a.csv']\n);\n",
        "LOAD DATA OVERWRITE `d`.`t` (\n  `a` NUMBER\n)\nFROM FILES (\n  format = 'CSV',\n  uris = ['gs://b/a.csv']\n);\n",
        "LOAD DATA OVERWRITE \"d\".\"t\" (\n  `a` INT64\n)\nFROM FILES (\n  format = 'CSV',\n  uris = ['gs://b/a.csv']\n);\n",
        "SELECT 'it''s';\n",
        "SELECT 1 FROM `d`.`a``b` AS c;\n",
        "LOAD DATA OVERWRITE `d`.`t` (\n  `a` INT64\n)\nFROM FILES (\n  format = 'CSV',\n  uris = ['gs://b/a.csv']\n) PARALLEL = 8;\n",
    ],
    "databricks": [
        "COPY INTO target_table\nFROM 'dbfs:/path/to/file_*.csv'\nFILEFORMAT = CSV\nFORMAT_OPTIONS ('header' = 'true')\nCOPY_OPTIONS (\n  'mergeSchema' = 'true',\n  'maxFilesPerTrigger' = '1000',\n  'maxBytesPerTrigger' = '1GB'\n);\n",
        "COPY INTO target_table\nFROM 'dbfs:/path/to/file_*.parquet'\nFILEFORMAT = PARQUET\nCOPY_OPTIONS (\n  'mergeSchema' = 'true',\n  'maxFilesPerTrigger' = '1000',\n  'maxBytesPerTrigger' = '1GB'\n);\n",
        "COPY INTO t FROM 's3://b/p/' FILEFORMAT = PARQUET FILES = ('a.parquet') COPY_OPTIONS ('maxFilesPerTrigger' = '1000');\n",
        "COPY INTO t FROM 's3://b/p/' FILES = ('a.parquet') FILEFORMAT = PARQUET;\n",
        "COPY INTO t FROM 's3://b/p/' FILEFORMAT = PARQUET FILES = ('a.parquet') PARALLEL = 8;\n",
        "COPY INTO t FROM 's3://b/p/' FILEFORMAT = PARQUET FILES = ('a.parquet';\n",
        "COPY INTO t FROM 's3://b/p/' FILEFORMAT = PARQUET;\n",
        "CREATE TABLE t (a DECIMAL(10,2);\n",
    ],
    "mssql": [
        "BULK INSERT target_table\nFROM '/path/to/file_*.csv'\nWITH (\n  FIRSTROW = 2,\n  FIELDTERMINATOR = ',',\n  ROWTERMINATOR = '\\n',\n  MAXERRORS = 1000,\n  TABLOCK\n);\n",
        "BULK INSERT target_table\nFROM '/path/to/file_*.parquet'\nWITH (\n  FORMAT = 'PARQUET',\n  MAXERRORS = 1000,\n  TABLOCK\n);\n",
        "BULK INSERT [t] FROM '/a.csv'\nWITH (FORMAT = 'CSV', ROWTERMINATOR = '0x0a', MAXERRORS = 0, PARALLEL = 8);\n",
        "BULK INSERT [t] FROM '/a.csv'\nWITH (FORMAT = 'CSV', ROWTERMINATOR = '0x0a', TABLOCK);\n",
        "CREATE TABLE IF NOT EXISTS [t] (\n  [a] INT NULL\n);\n",
        "CREATE TABLE [t] (\n  [a] DECIMAL(65,30) NULL\n);\n",
        "CREATE TABLE [t] (\n  [a] STRING NULL\n);\n",
    ],
}
