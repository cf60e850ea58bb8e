import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.StringJoiner;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.producer.MQProducer;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Reads queues by offset. */
final class MigrationReader {
    private static final int PULLED_MAX = 32;
    /** What is consumed of each queue before the rest. */
    private static final long PORTION = 100;
    private static final int CALL_MS = 30_000;
    private static final long PATIENCE_MS = 60_000;
    private static final long RETRY_MS = 100;

    private final String topic;
    private final DefaultMQPullConsumer consumer;
    private final Map<Integer, Long> committed = new HashMap<>();

    MigrationReader(String nameServer, String topic) throws Exception {
        this.topic = topic;
        consumer = new DefaultMQPullConsumer(topic + "-resting");
        Migration.patient(consumer);
        consumer.setNamesrvAddr(nameServer);
        consumer.setMqClientApiTimeout(CALL_MS);
        consumer.setConsumerPullTimeoutMillis(CALL_MS);
        consumer.start();
    }

    /** The queues as the name server knows them now. */
    private TreeSet<MessageQueue> queues() throws Exception {
        return new TreeSet<>(consumer.fetchSubscribeMessageQueues(topic));
    }

    /** Goes on from the offsets that were committed, and says what they are now. */
    String rest() throws Exception {
        StringJoiner offsets = new StringJoiner(" ");
        for (MessageQueue queue : queues()) {
            long at = consumer.fetchConsumeOffset(queue, true);
            long expected = committed.getOrDefault(queue.getQueueId(), at);
            if (at != expected) {
                throw new IllegalStateException(queue + ": the offset was " + expected + ", and is " + at);
            }
            long end = Math.max(at, 0) + PORTION;
            for (at = Math.max(at, 0); at < end;) {
                PullResult pulled = pull(queue, at);
                if (pulled.getPullStatus() != PullStatus.FOUND) {
                    break;
                }
                at = pulled.getNextBeginOffset();
            }
            // The client writes what it remembers again and again.
            consumer.updateConsumeOffset(queue, at);
            consumer.getDefaultMQPullConsumerImpl().updateConsumeOffsetToBroker(queue, at, false);
            committed.put(queue.getQueueId(), at);
            offsets.add(queue.getQueueId() + "=" + at);
        }
        return offsets.toString();
    }

    private PullResult pull(MessageQueue queue, long at) throws Exception {
        long deadline = System.currentTimeMillis() + PATIENCE_MS;
        while (true) {
            try {
                return consumer.pull(queue, "*", at, PULLED_MAX);
            } catch (MQBrokerException e) {
                // A busy machine is no failure.
                if (System.currentTimeMillis() > deadline) {
                    throw e;
                }
                Thread.sleep(RETRY_MS);
            }
        }
    }

    /** Where each message is. Two at one place, or one whose body was changed, end this. */
    Map<String, List<MigrationLedger.Place>> all(int bodyBytes) throws Exception {
        Map<String, List<MigrationLedger.Place>> found = new HashMap<>();
        for (MessageQueue queue : queues()) {
            long end = consumer.maxOffset(queue);
            long next = consumer.minOffset(queue);
            while (next < end) {
                PullResult pulled = pull(queue, next);
                if (pulled.getPullStatus() != PullStatus.FOUND) {
                    throw new IllegalStateException(queue + " at " + next + ": " + pulled);
                }
                for (MessageExt message : pulled.getMsgFoundList()) {
                    if (message.getQueueOffset() != next) {
                        throw new IllegalStateException(queue + ": " + message.getQueueOffset() + " comes after " + next);
                    }
                    next++;
                    String name = name(message);
                    if (!Arrays.equals(message.getBody(), body(name, bodyBytes))) {
                        throw new IllegalStateException("the body of " + name + " was changed");
                    }
                    found.computeIfAbsent(name, any -> new ArrayList<>(1))
                        .add(new MigrationLedger.Place(message.getQueueId(), message.getQueueOffset()));
                }
            }
        }
        return found;
    }

    /** How many of these keys lead to the message that has it. */
    int findable(MQProducer producer, List<String> keys) throws Exception {
        int count = 0;
        for (String key : keys) {
            boolean isFound = producer.queryMessage(topic, key, PULLED_MAX, 0, Long.MAX_VALUE).getMessageList().stream()
                .anyMatch(message -> name(message).equals(key));
            count += isFound ? 1 : 0;
        }
        return count;
    }

    static String name(MessageExt message) {
        byte[] body = message.getBody();
        int end = 0;
        while (end < body.length && body[end] != '\n') {
            end++;
        }
        return new String(body, 0, end, StandardCharsets.UTF_8);
    }

    /** A name, and what follows from it. */
    static byte[] body(String name, int bytes) {
        byte[] beginning = (name + "\n").getBytes(StandardCharsets.UTF_8);
        byte[] body = Arrays.copyOf(beginning, Math.max(bytes, beginning.length));
        int seed = name.hashCode();
        for (int at = beginning.length; at < body.length; at++) {
            seed = seed * 1_103_515_245 + 12_345;
            body[at] = (byte) (seed >>> 16);
        }
        return body;
    }
}
