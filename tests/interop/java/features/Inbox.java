import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import org.apache.rocketmq.common.message.MessageExt;

/** What a consumer was given, in the order of arrival. */
final class Inbox {
    private final List<MessageExt> messages = new ArrayList<>();

    synchronized void add(MessageExt message) {
        messages.add(message);
        notifyAll();
    }

    synchronized void addAll(List<MessageExt> some) {
        some.forEach(this::add);
    }

    synchronized List<MessageExt> all() {
        return new ArrayList<>(messages);
    }

    synchronized int size() {
        return messages.size();
    }

    /** All messages, once there are this many. */
    synchronized List<MessageExt> await(int count) throws InterruptedException {
        return await(count + " messages", all -> all.size() >= count);
    }

    /** All messages, once a message with this body is among them. */
    synchronized List<MessageExt> await(String body) throws InterruptedException {
        return await(body, all -> all.stream().anyMatch(message -> text(message).equals(body)));
    }

    synchronized List<MessageExt> await(String what, Predicate<List<MessageExt>> condition) throws InterruptedException {
        long deadline = System.currentTimeMillis() + Check.PATIENCE_MS;
        while (!condition.test(messages)) {
            long left = deadline - System.currentTimeMillis();
            if (left <= 0) {
                throw new IllegalStateException("not in time: " + what + "; there are " + messages.size() + ": "
                    + bodies().subList(0, Math.min(10, messages.size())));
            }
            wait(left);
        }
        return all();
    }

    synchronized List<String> bodies() {
        return messages.stream().map(Inbox::text).toList();
    }

    static String text(MessageExt message) {
        return new String(message.getBody(), StandardCharsets.UTF_8);
    }
}
