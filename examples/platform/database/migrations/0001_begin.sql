-- kind: begin
-- app: v1
--
-- What v1 was made with. titles.length_text is the column that v2 replaces.

-- step: once
CREATE TABLE viewers (
	id   text PRIMARY KEY,
	name text NOT NULL
);

CREATE TABLE titles (
	id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name        text NOT NULL,
	state       text NOT NULL DEFAULT 'encoding' CHECK (state IN ('encoding', 'ready', 'failed')),
	media_path  text NOT NULL DEFAULT '',
	length_text text,
	upload      text UNIQUE
);

CREATE TABLE uploads (
	id     text PRIMARY KEY,
	viewer text NOT NULL,
	name   text NOT NULL,
	key    text NOT NULL,
	size   bigint NOT NULL,
	done   boolean NOT NULL DEFAULT false,
	at     timestamptz NOT NULL DEFAULT now()
);

-- A topic's row is locked by who appends to it, so that entries are numbered
-- without gaps and become visible in the order of their numbers.
CREATE TABLE topics (
	name     text PRIMARY KEY,
	last_seq bigint NOT NULL DEFAULT 0
);

CREATE TABLE entries (
	topic     text NOT NULL REFERENCES topics (name),
	seq       bigint NOT NULL,
	author    text NOT NULL,
	client_id text NOT NULL,
	body      jsonb NOT NULL,
	at        timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (topic, seq),
	UNIQUE (topic, author, client_id)
);

INSERT INTO topics (name) VALUES ('chat'), ('playing');

CREATE TABLE jobs (
	id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	subject     text NOT NULL UNIQUE,
	input       jsonb NOT NULL,
	state       text NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'running', 'done', 'failed')),
	attempt     integer NOT NULL DEFAULT 0,
	worker      text NOT NULL DEFAULT '',
	not_before  timestamptz NOT NULL DEFAULT now(),
	lease_until timestamptz,
	output      jsonb,
	error       text NOT NULL DEFAULT '',
	told        boolean NOT NULL DEFAULT false
);

CREATE INDEX jobs_open ON jobs (id) WHERE state IN ('ready', 'running');
CREATE INDEX jobs_untold ON jobs (id) WHERE state IN ('done', 'failed') AND NOT told;
