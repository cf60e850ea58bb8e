import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.rocketmq.acl.common.AclClientRPCHook;
import org.apache.rocketmq.acl.common.SessionCredentials;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.RPCHook;

/**
 * The scenarios of the Java client, 4.x and 5.x from the same source.
 *
 * Client SCENARIO NAME-SERVERS TOPIC GROUP COUNT
 *
 * Its first line of output that begins with "ok" says that all that was sent came back; anything else ends it with a
 * reason and exit code 1. While the scenario `steady` runs it prints "acked N", and it ends its sending when stdin ends.
 */
public final class Client {
    private static final long CONSUMED_WITHIN_MS = 90_000;
    private static final int ROUTE_POLL_MS = 1_000;
    /** A 4.x consumer that joins a group of three brokers otherwise gets nothing before the next heartbeat, after 30 s. */
    private static final int HEARTBEAT_MS = 1_000;
    private static final int SEND_PAUSE_MS = 50;
    /** Long enough for a busy machine; a killed server is noticed by its closed connection. */
    private static final int SEND_TIMEOUT_MS = 10_000;
    /** Producer and consumer share one connection to a name server. A 5.x consumer that starts on its own and picks a dead
     * name server out of two does not try the other. */
    private static final String INSTANCE = "interop";

    private final String nameServers;
    private final String topic;
    private final String group;
    private final RPCHook hook;
    private final Ledger ledger = new Ledger();

    private Client(String[] args, RPCHook hook) {
        nameServers = args[1];
        topic = args[2];
        group = args[3];
        this.hook = hook;
    }

    public static void main(String[] args) {
        String outcome;
        try {
            int count = Integer.parseInt(args[4]);
            outcome = switch (args[0]) {
                case "produce-consume" -> new Client(args, null).produceThenConsume(count);
                case "acl-fields" -> new Client(args, signer()).produceThenConsume(count);
                case "steady" -> new Client(args, null).produceAndConsumeUntilToldToStop(Integer.MAX_VALUE);
                case "steady-untroubled" -> new Client(args, null).produceAndConsumeUntilToldToStop(0);
                default -> "failed: no such scenario: " + args[0];
            };
        } catch (Throwable e) {
            e.printStackTrace();
            outcome = "failed: " + e;
        }
        System.out.println(outcome);
        System.exit(outcome.startsWith("ok ") ? 0 : 1);
    }

    private static RPCHook signer() {
        return new AclClientRPCHook(new SessionCredentials("some-access-key", "some-secret-key"));
    }

    private String produceThenConsume(int count) throws Exception {
        DefaultMQProducer producer = startProducer();
        for (int number = 0; number < count; number++) {
            send(producer, number);
        }
        DefaultMQPushConsumer consumer = startConsumer();
        return finish(producer, consumer);
    }

    /** Sends may fail where servers are killed meanwhile. What was acknowledged must be consumed. Where none may fail, the
     * producer is as it comes, and tries each message once. */
    private String produceAndConsumeUntilToldToStop(int failuresMax) throws Exception {
        DefaultMQProducer producer = failuresMax > 0 ? startProducer() : startPlainProducer();
        int failures = 0;
        DefaultMQPushConsumer consumer = null;
        AtomicBoolean told = stopWhenInputEnds();
        for (int number = 0; !told.get(); number++) {
            try {
                send(producer, number);
            } catch (Exception e) {
                failures++;
                System.err.println("send " + number + ": " + e);
            }
            if (consumer == null && ledger.acked() > 0) {
                consumer = startConsumer();
            }
            if (number % 10 == 0) {
                System.out.println("acked " + ledger.acked() + " consumed " + ledger.received());
            }
            Thread.sleep(SEND_PAUSE_MS);
        }
        if (failures > failuresMax) {
            return "failed: " + failures + " sends failed";
        }
        return consumer == null ? "failed: no send was ever acknowledged" : finish(producer, consumer);
    }

    private DefaultMQProducer startPlainProducer() throws MQClientException {
        DefaultMQProducer producer = new DefaultMQProducer(group + "-producer", hook);
        producer.setNamesrvAddr(nameServers);
        producer.setClientIP("127.0.0.1");
        producer.setInstanceName(INSTANCE + "-producer");
        producer.setRetryTimesWhenSendFailed(0);
        producer.start();
        return producer;
    }

    private static AtomicBoolean stopWhenInputEnds() {
        AtomicBoolean ended = new AtomicBoolean();
        Thread reader = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {
                    continue;
                }
            } catch (java.io.IOException e) {
                System.err.println("stdin: " + e);
            }
            ended.set(true);
        });
        reader.setDaemon(true);
        reader.start();
        return ended;
    }

    private DefaultMQProducer startProducer() throws MQClientException {
        DefaultMQProducer producer = new DefaultMQProducer(group + "-producer", hook);
        producer.setNamesrvAddr(nameServers);
        producer.setClientIP("127.0.0.1");
        producer.setInstanceName(INSTANCE);
        producer.setPollNameServerInterval(ROUTE_POLL_MS);
        producer.setHeartbeatBrokerInterval(HEARTBEAT_MS);
        producer.setSendMsgTimeout(SEND_TIMEOUT_MS);
        producer.start();
        return producer;
    }

    private DefaultMQPushConsumer startConsumer() throws MQClientException {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group, hook, new AllocateMessageQueueAveragely());
        consumer.setNamesrvAddr(nameServers);
        consumer.setClientIP("127.0.0.1");
        consumer.setInstanceName(INSTANCE);
        consumer.setPollNameServerInterval(ROUTE_POLL_MS);
        consumer.setHeartbeatBrokerInterval(HEARTBEAT_MS);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) {
                receive(message);
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return consumer;
    }

    private void send(DefaultMQProducer producer, int number) throws Exception {
        Ledger.Entry sent = Ledger.entry(topic, number);
        ledger.attempt(sent);
        byte[] body = sent.body().getBytes(StandardCharsets.UTF_8);
        SendResult result = producer.send(new Message(topic, sent.tags(), sent.keys(), body));
        if (result.getSendStatus() != SendStatus.SEND_OK) {
            throw new IllegalStateException("send " + number + " ended with " + result);
        }
        ledger.ack(sent, result.getMessageQueue().getQueueId(), result.getQueueOffset());
    }

    private void receive(MessageExt message) {
        String body = new String(message.getBody(), StandardCharsets.UTF_8);
        ledger.receive(new Ledger.Entry(message.getKeys(), message.getTags(), body), message.getQueueId(), message.getQueueOffset());
    }

    private String finish(DefaultMQProducer producer, DefaultMQPushConsumer consumer) throws InterruptedException {
        boolean complete = ledger.awaitAllReceived(CONSUMED_WITHIN_MS);
        consumer.shutdown();
        producer.shutdown();
        List<String> problems = ledger.problems();
        if (!complete || !problems.isEmpty()) {
            return "failed: " + problems.size() + " problems: " + problems.subList(0, Math.min(10, problems.size()));
        }
        return "ok acked=" + ledger.acked() + " received=" + ledger.received() + " repeated=" + ledger.repeated();
    }
}
