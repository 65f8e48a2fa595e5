-- The events that an application wants published. It inserts a row in the transaction that the event belongs
-- to: INSERT INTO {table} (type, subject, payload) VALUES ('order_paid', 'orders-7', '{"id": 7}');
CREATE TABLE {table} (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    type          text NOT NULL,
    subject       text NOT NULL DEFAULT '',        -- '' is the map's own subject
    payload       json NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    commit_order  bigint,                          -- set when the transaction commits
    request       uuid,                            -- the request that has the row, and its idempotency key
    published_at  timestamptz,                     -- set when the cluster has stored the event
    refused       text                             -- why the cluster refused the event, with --set-aside
);

CREATE SEQUENCE {table_commit_order};

-- Both have only the rows that wait, so that published ones cost nothing.
CREATE INDEX ON {table} (commit_order) WHERE published_at IS NULL AND refused IS NULL;
CREATE INDEX ON {table} (request) WHERE published_at IS NULL AND refused IS NULL;

-- Numbers rows in the order of commits. The trigger is deferred, so it runs when a transaction commits, and
-- the lock is held until the commit is visible: only the commits of such transactions wait for each other.
CREATE FUNCTION {table_commit}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({commit_lock}, TG_RELID::integer);
    UPDATE {table} SET commit_order = nextval('{table_commit_order}') WHERE id = NEW.id;
    PERFORM pg_notify('{channel}', '');
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER commit_order AFTER INSERT ON {table}
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {table_commit}();

-- Published rows stay until you delete them, as in
-- DELETE FROM {table} WHERE published_at < now() - interval '7 days';
