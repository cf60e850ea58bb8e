import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Message trace: clients note in a topic what they did. */
final class Tracing {
    private static final String FIELD = "\u0001";
    private static final String RECORD = "\u0002";

    static void list(Map<String, Features.Feature> features) {
        features.put("trace-of-producer", trial -> ofProducer(trial, "RMQ_SYS_TRACE_TOPIC"));
        features.put("trace-own-topic", trial -> ofProducer(trial, trial.topic("trace", 1, 6)));
        features.put("trace-of-consumer", Tracing::ofConsumer);
    }

    /** The fields of all trace records of one kind about a message. */
    private static List<String[]> records(Trial trial, String traceTopic, String uniqueKey, String kind) throws Exception {
        List<String[]> records = new ArrayList<>();
        try {
            for (MessageExt message : trial.admin().queryMessage(traceTopic, uniqueKey, 64, 0, Long.MAX_VALUE).getMessageList()) {
                for (String record : Inbox.text(message).split(RECORD)) {
                    if (record.startsWith(kind + FIELD) && record.contains(uniqueKey)) {
                        records.add(record.split(FIELD));
                    }
                }
            }
        } catch (MQClientException nothingYet) {
            return records;
        }
        return records;
    }

    private static List<String[]> awaitRecords(Trial trial, String traceTopic, String uniqueKey, String kind) throws Exception {
        Check.eventually("a trace " + kind, () -> !records(trial, traceTopic, uniqueKey, kind).isEmpty());
        return records(trial, traceTopic, uniqueKey, kind);
    }

    private static void ofProducer(Trial trial, String traceTopic) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = new DefaultMQProducer(trial.own("producer"), null, true, traceTopic);
        trial.start(producer);
        SendResult result = Trial.send(producer, new Message(topic, "tag", "key", Trial.bytes("traced")));
        List<String[]> records = awaitRecords(trial, traceTopic, result.getMsgId(), "Pub");
        Check.equal("records", 1, records.size());
        String[] fields = records.get(0);
        Check.equal("region, group, topic", List.of("DefaultRegion", trial.own("producer"), topic), List.of(fields[2], fields[3], fields[4]));
        Check.equal("id, tag, key", List.of(result.getMsgId(), "tag", "key"), List.of(fields[5], fields[6], fields[7]));
        Check.equal("store host", trial.place.broker(), trial.place.behindDoor(fields[8]));
        Check.equal("length of the body", "6", fields[9]);
        Check.equal("offset id", result.getOffsetMsgId(), fields[12]);
        Check.equal("success", "true", fields[13]);
    }

    private static void ofConsumer(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(trial.group(), null, new AllocateMessageQueueAveragely(), true, null);
        trial.configure(consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        Inbox inbox = new Inbox();
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(Trial.into(inbox));
        trial.start(consumer);
        SendResult result = Trial.send(trial.producer(), new Message(topic, "tag", "key", Trial.bytes("traced")));
        inbox.await(1);
        String[] before = awaitRecords(trial, "RMQ_SYS_TRACE_TOPIC", result.getMsgId(), "SubBefore").get(0);
        Check.equal("group, id, times", List.of(trial.group(), result.getMsgId(), "0"), List.of(before[3], before[5], before[6]));
        String[] after = awaitRecords(trial, "RMQ_SYS_TRACE_TOPIC", result.getMsgId(), "SubAfter").get(0);
        Check.equal("id, success, key", List.of(result.getMsgId(), "true", "key"), List.of(after[2], after[4], after[5]));
    }

    private Tracing() { }
}
