import java.nio.charset.StandardCharsets;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/** Sends ten messages and consumes them. */
public final class Hello {
    private static final int COUNT = 10;
    private static final String TOPIC = "hello-java";

    public static void main(String[] arguments) throws Exception {
        String nameServer = System.getenv().getOrDefault("NAMESRV_ADDR", "127.0.0.1:9876");

        DefaultMQProducer producer = new DefaultMQProducer("hello-java-producer");
        producer.setNamesrvAddr(nameServer);
        producer.start();
        // The first message of a topic makes it.
        for (int number = 0; number < COUNT; number++) {
            Message message = new Message(TOPIC, "greeting", "key-" + number, ("hello " + number).getBytes(StandardCharsets.UTF_8));
            SendResult result = producer.send(message);
            System.out.println("sent " + number + " to queue " + result.getMessageQueue().getQueueId() + ": " + result.getSendStatus());
        }

        Set<String> received = ConcurrentHashMap.newKeySet();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("hello-java-consumer");
        consumer.setNamesrvAddr(nameServer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(TOPIC, "greeting");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message -> received.add(new String(message.getBody(), StandardCharsets.UTF_8)));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();

        for (int waited = 0; received.size() < COUNT && waited < 600; waited++) {
            Thread.sleep(100);
        }
        consumer.shutdown();
        producer.shutdown();
        System.out.println("received " + received.size());
        System.exit(received.size() == COUNT ? 0 : 1);
    }
}
