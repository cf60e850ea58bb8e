import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.StringJoiner;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;

/** What was sent, acknowledged and consumed, and what follows from it for what a broker must have. */
final class MigrationLedger {
    /** Of messages that are acknowledged before they come to their queue. */
    private static final Place SOMEWHERE = new Place(-1, -1);
    private static final int SHOWN = 3;

    record Place(int queue, long offset) { }

    private final Set<String> sent = ConcurrentHashMap.newKeySet();
    private final Map<String, Place> acknowledged = new ConcurrentHashMap<>();
    private final Set<String> rolledBack = ConcurrentHashMap.newKeySet();
    private final Map<String, String> keys = new ConcurrentHashMap<>();
    private final Set<String> consumed = ConcurrentHashMap.newKeySet();

    void sends(String name) {
        sent.add(name);
    }

    void isAcknowledged(String name, int queue, long offset) {
        acknowledged.put(name, new Place(queue, offset));
    }

    void isAcknowledged(String name) {
        acknowledged.put(name, SOMEWHERE);
    }

    void isRolledBack(String name) {
        rolledBack.add(name);
    }

    void hasKey(String name) {
        keys.put(name, name);
    }

    void isConsumed(String name) {
        consumed.add(name);
    }

    boolean isAllConsumed() {
        return acknowledged.keySet().stream().allMatch(name -> consumed.contains(name) || rolledBack.contains(name));
    }

    int count() {
        return acknowledged.size();
    }

    /** Keys of messages that are there. */
    List<String> someKeys(Map<String, List<Place>> found, int count) {
        return keys.keySet().stream().filter(found::containsKey).limit(count).toList();
    }

    /** How many messages are nowhere, stand elsewhere, were not consumed, or must not be there; and those that are there twice. */
    String judge(Map<String, List<Place>> found) {
        List<String> lost = new ArrayList<>();
        List<String> elsewhere = new ArrayList<>();
        acknowledged.forEach((name, place) -> {
            List<Place> places = found.getOrDefault(name, List.of());
            if (rolledBack.contains(name)) {
                return;
            }
            if (places.isEmpty()) {
                lost.add(name + " of " + place);
            } else if (place != SOMEWHERE && !places.contains(place)) {
                elsewhere.add(name + " of " + place + " at " + places);
            }
        });
        List<String> unwanted = new ArrayList<>();
        List<String> unknown = new ArrayList<>();
        List<String> unconsumed = new ArrayList<>();
        Map<String, List<String>> twice = new TreeMap<>();
        found.forEach((name, places) -> {
            if (rolledBack.contains(name)) {
                unwanted.add(name);
            }
            if (!sent.contains(name)) {
                unknown.add(name);
            }
            if (!consumed.contains(name)) {
                unconsumed.add(name + " at " + places);
            }
            if (places.size() > 1) {
                twice.computeIfAbsent("twice" + kind(name), any -> new ArrayList<>()).add(name + " at " + places);
            }
        });
        Set<String> unsettled = new HashSet<>(sent);
        unsettled.removeAll(acknowledged.keySet());
        return String.join("\t", "acknowledged=" + acknowledged.size(), "found=" + found.size(), shown("lost", lost),
            shown("elsewhere", elsewhere), shown("unwanted", unwanted), shown("unknown", unknown), shown("unconsumed", unconsumed),
            shown("unsettled", List.copyOf(unsettled)), shown("twice", twice));
    }

    private static String kind(String name) {
        return name.split("-")[1];
    }

    private static String shown(String what, Map<String, List<String>> byKind) {
        int count = byKind.values().stream().mapToInt(List::size).sum();
        StringJoiner words = new StringJoiner("\t");
        words.add(what + "=" + count);
        byKind.forEach((kind, names) -> words.add(shown(kind, names)));
        return words.toString();
    }

    private static String shown(String what, List<String> names) {
        return what + "=" + names.size() + (names.isEmpty() ? "" : " such as " + names.subList(0, Math.min(SHOWN, names.size())));
    }
}
