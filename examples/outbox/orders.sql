-- Orders whose events are written in the same transaction as the orders themselves. Make the table
-- waypost_outbox first (`waypost relay schema`).

CREATE TABLE orders (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer  text NOT NULL,
    amount    numeric(10, 2) NOT NULL CHECK (amount > 0),
    state     text NOT NULL DEFAULT 'placed' CHECK (state IN ('placed', 'paid', 'cancelled'))
);

-- A trigger sees every change of an order, whoever makes it. What it inserts becomes an event when the
-- transaction commits, and no event if it is rolled back.
CREATE FUNCTION tell_of_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.state IS DISTINCT FROM OLD.state THEN
        INSERT INTO waypost_outbox (type, subject, payload) VALUES (
            'order_' || NEW.state,
            'orders-' || NEW.id,
            json_build_object('id', NEW.id, 'customer', NEW.customer, 'amount', NEW.amount)
        );
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER tell_of_order AFTER INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION tell_of_order();
