import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;

/** What must hold. A broken demand ends the trial. */
final class Check {
    /** How long anything may take that must come. */
    static final long PATIENCE_MS = 90_000;
    private static final int POLL_MS = 50;
    private static final int SHOWN = 10;

    interface Action {
        void run() throws Exception;
    }

    static void that(String what, boolean holds) {
        if (!holds) {
            throw new IllegalStateException("not so: " + what);
        }
    }

    static void equal(String what, Object expected, Object actual) {
        if (!Objects.equals(expected, actual)) {
            throw new IllegalStateException(what + ": expected " + shortened(expected) + ", is " + shortened(actual));
        }
    }

    /** The same elements as often, in whatever order. */
    static void sameElements(String what, Collection<String> expected, Collection<String> actual) {
        List<String> missing = new ArrayList<>(expected);
        List<String> surplus = new ArrayList<>();
        for (String element : actual) {
            if (!missing.remove(element)) {
                surplus.add(element);
            }
        }
        if (!missing.isEmpty() || !surplus.isEmpty()) {
            throw new IllegalStateException(what + ": of " + expected.size() + " are missing " + missing.size() + " "
                + shortened(missing) + ", and " + surplus.size() + " are too many " + shortened(surplus));
        }
    }

    /** The action is refused by the broker, or by the client in its name, with this code. */
    static String refused(String what, int code, Action action) throws Exception {
        try {
            action.run();
        } catch (MQBrokerException refusal) {
            equal(what + " (" + refusal.getErrorMessage() + ")", code, refusal.getResponseCode());
            return refusal.getErrorMessage();
        } catch (MQClientException refusal) {
            equal(what + " (" + refusal.getErrorMessage() + ")", code, refusal.getResponseCode());
            return String.valueOf(refusal.getMessage());
        }
        throw new IllegalStateException("was not refused: " + what);
    }

    static void eventually(String what, Callable<Boolean> condition) throws Exception {
        long deadline = System.currentTimeMillis() + PATIENCE_MS;
        Exception last = null;
        while (true) {
            try {
                if (condition.call()) {
                    return;
                }
                last = null;
            } catch (MQClientException | MQBrokerException | org.apache.rocketmq.remoting.exception.RemotingException e) {
                last = e;
            }
            if (System.currentTimeMillis() > deadline) {
                throw new IllegalStateException("not in time: " + what, last);
            }
            Thread.sleep(POLL_MS);
        }
    }

    private static String shortened(Object value) {
        if (value instanceof List<?> list && list.size() > SHOWN) {
            return list.subList(0, SHOWN) + " … of " + list.size();
        }
        return String.valueOf(value);
    }

    private Check() { }
}
