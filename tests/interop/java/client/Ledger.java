import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What was sent, what was acknowledged where, and what was consumed from where; and whether the three agree:
 * all that was acknowledged was consumed from the queue and offset of its acknowledgement, in each queue offsets follow
 * the order of sending, nothing was consumed that was not sent, and each message came back with its own body, keys and tags.
 */
final class Ledger {
    private final Map<String, Entry> attempted = new HashMap<>();
    private final Map<String, Place> acknowledged = new HashMap<>();
    private final Map<String, Set<Place>> consumed = new HashMap<>();
    private final Map<Integer, Long> newestOffset = new HashMap<>();
    private final Set<String> missing = new HashSet<>();
    private final List<String> wrong = new ArrayList<>();
    private int repeated;

    /** Message number `number` of a topic. Its text leaves ASCII, so that character sets matter. */
    static Entry entry(String topic, int number) {
        return new Entry("key-" + number, "tag-" + number % 3, "message " + number + " of " + topic + ": žluťoučký kůň, 消息");
    }

    synchronized void attempt(Entry entry) {
        attempted.put(entry.keys(), entry);
    }

    synchronized void ack(Entry entry, int queueId, long queueOffset) {
        Place place = new Place(queueId, queueOffset);
        acknowledged.put(entry.keys(), place);
        Long before = newestOffset.put(queueId, queueOffset);
        if (before != null && before >= queueOffset) {
            wrong.add(entry.keys() + " was acknowledged at " + place + ", after offset " + before);
        }
        if (!consumed.containsKey(entry.keys())) {
            missing.add(entry.keys());
        }
    }

    synchronized void receive(Entry entry, int queueId, long queueOffset) {
        if (!entry.equals(attempted.get(entry.keys()))) {
            wrong.add("consumed " + entry + ", sent " + attempted.get(entry.keys()));
            return;
        }
        Set<Place> places = consumed.computeIfAbsent(entry.keys(), key -> new HashSet<>());
        if (!places.isEmpty()) {
            repeated++;
        }
        places.add(new Place(queueId, queueOffset));
        missing.remove(entry.keys());
        notifyAll();
    }

    synchronized boolean awaitAllReceived(long patienceMs) throws InterruptedException {
        long deadline = System.currentTimeMillis() + patienceMs;
        while (!missing.isEmpty() && System.currentTimeMillis() < deadline) {
            wait(Math.max(1, deadline - System.currentTimeMillis()));
        }
        return missing.isEmpty();
    }

    synchronized List<String> problems() {
        List<String> problems = new ArrayList<>(wrong);
        for (String keys : missing) {
            problems.add(keys + " was acknowledged at " + acknowledged.get(keys) + " and never consumed");
        }
        acknowledged.forEach((keys, place) -> {
            Set<Place> places = consumed.get(keys);
            if (places != null && !places.contains(place)) {
                problems.add(keys + " was acknowledged at " + place + " but consumed from " + places);
            }
        });
        return problems;
    }

    synchronized int acked() {
        return acknowledged.size();
    }

    synchronized int received() {
        return consumed.size();
    }

    synchronized int repeated() {
        return repeated;
    }

    record Entry(String keys, String tags, String body) { }

    private record Place(int queueId, long queueOffset) { }
}
