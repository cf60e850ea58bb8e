import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageDecoder;

/** Finding messages that were sent. */
final class Queries {
    private static final int SYSTEM_ERROR = 1;

    static void list(Map<String, Features.Feature> features) {
        features.put("query-by-offset-id", Queries::byOffsetId);
        features.put("query-by-unique-key", Queries::byUniqueKey);
        features.put("query-by-key", Queries::byKey);
        features.put("query-by-key-and-time", Queries::byKeyAndTime);
        features.put("query-at-most", Queries::atMost);
        features.put("query-finds-nothing", Queries::findsNothing);
    }

    private static void byOffsetId(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = trial.producer();
        for (int number = 0; number < 5; number++) {
            Message message = new Message(topic, "tag", "key-" + number, Trial.bytes("m" + number));
            message.putUserProperty("number", "" + number);
            SendResult result = Trial.send(producer, message);
            MessageExt found = trial.admin().viewMessage(topic, result.getOffsetMsgId());
            Check.equal("body, keys, tags, property", "m" + number + " key-" + number + " tag " + number, Inbox.text(found) + " "
                + found.getKeys() + " " + found.getTags() + " " + found.getUserProperty("number"));
            Check.equal("place", result.getMessageQueue().getQueueId() + "@" + result.getQueueOffset(),
                found.getQueueId() + "@" + found.getQueueOffset());
            Check.equal("commit-log offset", MessageDecoder.decodeMessageId(result.getOffsetMsgId()).getOffset(), found.getCommitLogOffset());
        }
    }

    private static void byUniqueKey(Trial trial) throws Exception {
        String topic = trial.topic(2);
        DefaultMQProducer producer = trial.producer();
        for (int number = 0; number < 5; number++) {
            SendResult result = Trial.send(producer, new Message(topic, Trial.bytes("m" + number)));
            Check.eventually("it is found", () -> trial.admin().viewMessage(topic, result.getMsgId()) != null);
            MessageExt found = trial.admin().viewMessage(topic, result.getMsgId());
            Check.equal("body", "m" + number, Inbox.text(found));
            Check.equal("offset", result.getQueueOffset(), found.getQueueOffset());
        }
    }

    private static List<String> find(Trial trial, String topic, String key, int most, long begin, long end) throws Exception {
        try {
            return trial.admin().queryMessage(topic, key, most, begin, end).getMessageList().stream().map(Inbox::text).sorted().toList();
        } catch (MQClientException nothing) {
            return List.of();
        }
    }

    private static void byKey(Trial trial) throws Exception {
        String topic = trial.topic(4);
        DefaultMQProducer producer = trial.producer();
        for (int number = 0; number < 20; number++) {
            Trial.send(producer, new Message(topic, "tag", "all odd-" + number % 2 + " own-" + number, Trial.bytes("m" + number)));
        }
        List<String> odd = IntStream.range(0, 20).filter(number -> number % 2 == 1).mapToObj(number -> "m" + number).sorted().toList();
        List<String> all = IntStream.range(0, 20).mapToObj(number -> "m" + number).sorted().toList();
        Check.eventually("all are indexed", () -> find(trial, topic, "own-19", 32, 0, Long.MAX_VALUE).size() == 1);
        Check.equal("by a key that half of them have", odd, find(trial, topic, "odd-1", 32, 0, Long.MAX_VALUE));
        Check.equal("by a key that all have", all, find(trial, topic, "all", 32, 0, Long.MAX_VALUE));
        Check.equal("by a key of its own", List.of("m7"), find(trial, topic, "own-7", 32, 0, Long.MAX_VALUE));
    }

    private static void byKeyAndTime(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = trial.producer();
        long[] moments = new long[3];
        for (int number = 0; number < 3; number++) {
            moments[number] = System.currentTimeMillis();
            Thread.sleep(1_500);
            Trial.send(producer, new Message(topic, "tag", "key", Trial.bytes("m" + number)));
            Thread.sleep(1_500);
        }
        Check.eventually("all are indexed", () -> find(trial, topic, "key", 32, 0, Long.MAX_VALUE).size() == 3);
        Check.equal("up to the second moment", List.of("m0"), find(trial, topic, "key", 32, 0, moments[1]));
        Check.equal("between the moments", List.of("m1"), find(trial, topic, "key", 32, moments[1], moments[2]));
        Check.equal("from the third moment", List.of("m2"), find(trial, topic, "key", 32, moments[2], Long.MAX_VALUE));
    }

    private static void atMost(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = trial.producer();
        for (int number = 0; number < 30; number++) {
            Trial.send(producer, new Message(topic, "tag", "key", Trial.bytes("m" + String.format("%02d", number))));
        }
        Check.eventually("all are indexed", () -> find(trial, topic, "key", 64, 0, Long.MAX_VALUE).size() == 30);
        List<String> newest = IntStream.range(20, 30).mapToObj(number -> "m" + number).toList();
        Check.equal("the newest ten", newest, find(trial, topic, "key", 10, 0, Long.MAX_VALUE));
    }

    private static void findsNothing(Trial trial) throws Exception {
        String topic = trial.topic(1);
        SendResult result = Trial.send(trial.producer(), new Message(topic, "tag", "key", Trial.bytes("m")));
        Check.eventually("it is indexed", () -> find(trial, topic, "key", 32, 0, Long.MAX_VALUE).size() == 1);
        Check.equal("by another key", List.of(), find(trial, topic, "no-such-key", 32, 0, Long.MAX_VALUE));
        Check.equal("of another topic", List.of(), find(trial, trial.topic("other", 1, 6), "key", 32, 0, Long.MAX_VALUE));
        var id = MessageDecoder.decodeMessageId(result.getOffsetMsgId());
        String past = MessageDecoder.createMessageId(id.getAddress(), id.getOffset() + (1L << 40));
        try {
            MessageExt found = trial.admin().viewMessage(topic, past);
            Check.equal("a message past the end of the log", null, found);
        } catch (MQClientException nothing) {
            trial.note("view past the end: " + nothing.getResponseCode());
        }
    }

    private Queries() { }
}
