//! The tables, and how a connection is set up.

/// Marks the file as ours: "brvk" in ASCII.
pub(super) const APPLICATION_ID: i64 = 0x6272_766b;

/// Raised with each change of the tables.
pub(super) const VERSION: i64 = 4;

/// WAL with a sync at every commit: what is acknowledged survives a crash of the process and, as far as
/// `SQLite` promises it, of the machine. What is in the log goes into the tables every 16 MB: seldom, because each time
/// that waits for the disk twice. 8 MB of cache hold what a plan for a thousand tenants writes to at once.
pub(super) const SETUP: &str = "
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA wal_autocheckpoint = 4000;
PRAGMA cache_size = -8000;
PRAGMA temp_store = MEMORY;
";

/// What never changes of a run once it is planned: the plan's hash covers it.
pub(super) const RUN_COLUMNS: &str = "no, run, job, started_at, tool, operator, ticket, justification, sealed, reissued, root, authority, sources, tenants, first_item, last_item";

/// Every column of an item: none of them ever changes, and the plan's hash covers them.
pub(super) const ITEM_COLUMNS: &str = "no, run, source, line, tenant, kind, id, options, lane, status, reason, cells";

pub(super) const CREATE: &str = "
CREATE TABLE runs (
  no          INTEGER PRIMARY KEY,
  run         TEXT NOT NULL UNIQUE,
  job         TEXT NOT NULL,
  state       TEXT NOT NULL,
  started_at  INTEGER NOT NULL,
  ended_at    INTEGER,
  tool        TEXT NOT NULL,
  operator    TEXT NOT NULL,
  ticket      TEXT,
  justification TEXT,              -- for tenants that ask for one before they let a second administrator decide
  sealed      TEXT,                -- the fingerprint of the sealed plan that it carries out
  reissued    INTEGER NOT NULL,         -- whether that plan sends tokens that were re-issued since it was made
  root        TEXT NOT NULL,
  authority   TEXT NOT NULL,
  sources     TEXT NOT NULL,
  tenants     TEXT NOT NULL,
  to_send     INTEGER NOT NULL DEFAULT 0,
  pending     INTEGER NOT NULL DEFAULT 0,
  exit_code   INTEGER,
  first_item  INTEGER NOT NULL,
  last_item   INTEGER NOT NULL,
  plan        BLOB NOT NULL,
  head        BLOB NOT NULL,
  events      INTEGER NOT NULL
) STRICT;

CREATE TABLE items (
  no       INTEGER PRIMARY KEY,
  run      INTEGER NOT NULL,
  source   INTEGER NOT NULL,
  line     INTEGER NOT NULL,
  tenant   INTEGER,
  kind     INTEGER,
  id       BLOB,
  options  INTEGER NOT NULL,
  lane     INTEGER,
  status   TEXT,
  reason   TEXT,
  cells    TEXT NOT NULL
) STRICT;

CREATE INDEX items_to_send ON items (run, lane) WHERE lane IS NOT NULL;
CREATE INDEX items_of_token ON items (id) WHERE kind = 2; -- a VPP token

CREATE TABLE events (
  n     INTEGER PRIMARY KEY,
  run   INTEGER NOT NULL,
  item  INTEGER,
  at    INTEGER NOT NULL,
  what  TEXT NOT NULL,
  hash  BLOB NOT NULL
) STRICT;

CREATE INDEX events_of_item ON events (item) WHERE item IS NOT NULL;
CREATE INDEX events_of_run ON events (run) WHERE item IS NULL;
";
