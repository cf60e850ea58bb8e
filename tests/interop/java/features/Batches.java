import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Many messages in one request. */
final class Batches {
    /** Apache's broker throws while it takes the batch apart. */
    private static final int SYSTEM_ERROR = 1;

    static void list(Map<String, Features.Feature> features) {
        features.put("batch-10000", Batches::tenThousand);
        features.put("batch-reply-fields", Batches::replyFields);
        features.put("batch-over-limit", Batches::overLimit);
    }

    private static void tenThousand(Trial trial) throws Exception {
        String topic = trial.topic(4);
        DefaultMQProducer producer = trial.producer();
        List<String> sent = new ArrayList<>();
        for (int batch = 0; batch < 10; batch++) {
            List<Message> messages = new ArrayList<>();
            for (int number = 0; number < 1_000; number++) {
                sent.add(batch + "/" + number);
                messages.add(new Message(topic, "tag", "key-" + number, Trial.bytes(batch + "/" + number)));
            }
            Trial.accepted(producer.send(messages));
        }
        Inbox inbox = trial.consume(trial.group(), topic, "*");
        inbox.await(10_000);
        trial.awaitAllConsumed(trial.group(), topic);
        Check.equal("messages", 10_000, inbox.size());
        Check.equal("different messages", new HashSet<>(sent), new HashSet<>(inbox.bodies()));
    }

    private static void replyFields(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = trial.producer();
        Trial.send(producer, new Message(topic, Trial.bytes("single")));
        List<Message> messages = new ArrayList<>();
        for (int number = 0; number < 50; number++) {
            Message message = new Message(topic, "tag-" + number % 2, "key-" + number, Trial.bytes("in batch " + number));
            message.putUserProperty("number", "" + number);
            messages.add(message);
        }
        SendResult result = Trial.accepted(producer.send(messages));
        Check.equal("queue offset of the first", 1L, result.getQueueOffset());
        Check.equal("unique keys", 50, result.getMsgId().split(",").length);
        String[] ids = result.getOffsetMsgId().split(",");
        Check.equal("offset ids", 50, new HashSet<>(List.of(ids)).size());
        Check.equal("message 7 by its id", "in batch 7", Inbox.text(trial.admin().viewMessage(topic, ids[7])));
        Inbox inbox = trial.consume(trial.group(), topic, "tag-1");
        for (MessageExt message : inbox.await(25)) {
            int number = Integer.parseInt(message.getUserProperty("number"));
            Check.equal("body", "in batch " + number, Inbox.text(message));
            Check.equal("key", "key-" + number, message.getKeys());
            Check.equal("tag", "tag-1", message.getTags());
            Check.equal("offset", 1L + number, message.getQueueOffset());
            Check.equal("unique key", result.getMsgId().split(",")[number], message.getProperty("UNIQ_KEY"));
        }
    }

    private static void overLimit(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = trial.producer();
        producer.setMaxMessageSize(16 << 20);
        List<Message> messages = new ArrayList<>();
        for (int number = 0; number < 5; number++) {
            messages.add(new Message(topic, Sending.noise(1 << 20)));
        }
        Check.refused("5 MiB", SYSTEM_ERROR, () -> producer.send(messages));
        Trial.accepted(producer.send(messages.subList(0, 3)));
        trial.awaitStored(trial.queue(topic, 0), 3);
    }

    private Batches() { }
}
