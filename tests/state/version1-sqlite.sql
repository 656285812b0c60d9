-- The tables of fleet 0.1.0 (layout version 1), as its own code made them.
CREATE TABLE confirmed (
  overlay VARCHAR(32) NOT NULL,
  router VARCHAR(32) NOT NULL,
  fingerprint VARCHAR(128) NOT NULL,
  configuration TEXT NOT NULL,
  version VARCHAR(128) NOT NULL,
  at FLOAT NOT NULL,
  PRIMARY KEY (overlay, router)
);
CREATE TABLE escrow (
  overlay VARCHAR(32) NOT NULL,
  router VARCHAR(32) NOT NULL,
  public_key VARCHAR(44) NOT NULL,
  sealed_as VARCHAR(32) NOT NULL,
  sealed BLOB NOT NULL,
  at FLOAT NOT NULL,
  PRIMARY KEY (overlay, router, public_key)
);
CREATE TABLE identities (
  overlay VARCHAR(32) NOT NULL,
  name VARCHAR(64) NOT NULL,
  kind VARCHAR(8) NOT NULL,
  value VARCHAR(2048) NOT NULL,
  pinned_at FLOAT NOT NULL,
  PRIMARY KEY (overlay, name, kind, value)
);
CREATE TABLE locks (
  overlay VARCHAR(32) NOT NULL,
  token VARCHAR(32) NOT NULL,
  host VARCHAR(256) NOT NULL,
  boot_id VARCHAR(128) NOT NULL,
  pid INTEGER NOT NULL,
  start_time VARCHAR(64) NOT NULL,
  actor VARCHAR(256) NOT NULL,
  command TEXT NOT NULL,
  taken_at FLOAT NOT NULL,
  expires_at FLOAT NOT NULL,
  PRIMARY KEY (overlay)
);
CREATE TABLE pins (
  overlay VARCHAR(32) NOT NULL,
  router VARCHAR(32) NOT NULL,
  public_key VARCHAR(44),
  staged_key VARCHAR(44),
  epoch INTEGER NOT NULL,
  addresses TEXT NOT NULL,
  left_at FLOAT,
  PRIMARY KEY (overlay, router)
);
CREATE TABLE runs (
  id VARCHAR(32) NOT NULL,
  overlay VARCHAR(32) NOT NULL,
  command TEXT NOT NULL,
  actor VARCHAR(256) NOT NULL,
  inventory_commit VARCHAR(64) NOT NULL,
  plan_fingerprint VARCHAR(128) NOT NULL,
  started_at FLOAT NOT NULL,
  finished_at FLOAT,
  outcome VARCHAR(256) NOT NULL,
  exit_code INTEGER,
  PRIMARY KEY (id)
);
CREATE INDEX runs_by_time ON runs (overlay, started_at);
CREATE TABLE schema_version (
  version INTEGER NOT NULL,
  PRIMARY KEY (version)
);
CREATE TABLE tombstones (
  overlay VARCHAR(32) NOT NULL,
  public_key VARCHAR(44) NOT NULL,
  router VARCHAR(32) NOT NULL,
  at FLOAT NOT NULL,
  PRIMARY KEY (overlay, public_key)
);
CREATE TABLE journal (
  id INTEGER NOT NULL,
  run VARCHAR(32) NOT NULL,
  router VARCHAR(32) NOT NULL,
  phase VARCHAR(32) NOT NULL,
  text TEXT NOT NULL,
  detail TEXT,
  at FLOAT NOT NULL,
  PRIMARY KEY (id),
  FOREIGN KEY(run) REFERENCES runs (id)
);
CREATE INDEX ix_journal_router ON journal (router);
CREATE INDEX ix_journal_run ON journal (run);
