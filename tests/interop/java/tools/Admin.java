import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.locks.LockSupport;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.impl.MQClientAPIImpl;
import org.apache.rocketmq.client.impl.MQClientManager;
import org.apache.rocketmq.client.impl.factory.MQClientInstance;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.RequestCode;
import org.apache.rocketmq.remoting.protocol.RemotingSerializable;
import org.apache.rocketmq.remoting.protocol.body.BrokerMemberGroup;
import org.apache.rocketmq.remoting.protocol.body.GetBrokerMemberGroupResponseBody;
import org.apache.rocketmq.remoting.protocol.body.TopicList;
import org.apache.rocketmq.remoting.protocol.header.GetBrokerMemberGroupRequestHeader;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/**
 * Runs many commands of Apache's mqadmin in one JVM, because a start of it takes longer than most commands.
 *
 * A line of stdin is a command, its words separated by tabs: `mqadmin WORDS…` as one would type them, or
 * `api NAME-SERVER CALL WORDS…` for calls of the admin API that no command makes. What a command prints to either
 * stream follows on stdout, then the line END.
 */
public final class Admin {
    private static final String END = "--- end of command ---";
    private static final long TIMEOUT_MS = 5_000;
    private static final long WAKE_NS = 20_000_000;

    public static void main(String[] arguments) throws Exception {
        hurry(Thread.currentThread());
        PrintStream answers = System.out;
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            String[] words = line.split("\t");
            String[] rest = Arrays.copyOfRange(words, 1, words.length);
            ByteArrayOutputStream printed = new ByteArrayOutputStream();
            PrintStream capture = new PrintStream(printed, true, StandardCharsets.UTF_8);
            System.setOut(capture);
            System.setErr(capture);
            try {
                if (words[0].equals("mqadmin")) {
                    MQAdminStartup.main0(rest, null);
                } else {
                    capture.println(call(rest));
                }
            } catch (Exception e) {
                e.printStackTrace(capture);
            }
            answers.write(printed.toByteArray());
            answers.write(("\n" + END + "\n").getBytes(StandardCharsets.UTF_8));
            answers.flush();
        }
    }

    /** Most commands end by joining a thread that looks up from its queue every 3 s. While they wait, this wakes it. */
    private static void hurry(Thread commands) {
        Thread waker = new Thread(() -> {
            while (true) {
                LockSupport.parkNanos(WAKE_NS);
                if (Arrays.stream(commands.getStackTrace()).anyMatch(frame -> frame.getMethodName().equals("join"))) {
                    Thread.getAllStackTraces().keySet().stream()
                        .filter(thread -> thread.getName().startsWith("NettyEventExecutor")).forEach(Thread::interrupt);
                }
            }
        });
        waker.setDaemon(true);
        waker.start();
    }

    private static String call(String[] words) throws Exception {
        ClientConfig config = new ClientConfig();
        config.setNamesrvAddr(words[0]);
        config.setInstanceName("api-" + System.nanoTime());
        MQClientInstance instance = MQClientManager.getInstance().getOrCreateMQClientInstance(config);
        instance.start();
        try {
            return call(instance.getMQClientAPIImpl(), words);
        } finally {
            instance.shutdown();
        }
    }

    private static String call(MQClientAPIImpl api, String[] words) throws Exception {
        return switch (words[1]) {
            case "kv" -> api.getKVConfigValue(words[2], words[3], TIMEOUT_MS);
            case "kv-namespace" -> new TreeMap<>(api.getKVListByNamespace(words[2], TIMEOUT_MS).getTable()).toString();
            case "topics-of-cluster" -> print(api.getTopicsByCluster(words[2], TIMEOUT_MS));
            case "system-topics" -> print(api.getSystemTopicList(TIMEOUT_MS));
            case "unit-topics" -> print(api.getUnitTopicList(true, TIMEOUT_MS));
            case "unit-sub-topics" -> print(api.getHasUnitSubTopicList(true, TIMEOUT_MS));
            case "unit-sub-not-unit-topics" -> print(api.getHasUnitSubUnUnitTopicList(true, TIMEOUT_MS));
            case "members" -> members(api, words[2], words[3]);
            default -> throw new IllegalArgumentException("no such call: " + words[1]);
        };
    }

    private static String print(TopicList list) {
        return "topics " + new TreeSet<>(list.getTopicList());
    }

    private static String members(MQClientAPIImpl api, String cluster, String brokerName) throws Exception {
        GetBrokerMemberGroupRequestHeader header = new GetBrokerMemberGroupRequestHeader();
        header.setClusterName(cluster);
        header.setBrokerName(brokerName);
        RemotingCommand request = RemotingCommand.createRequestCommand(RequestCode.GET_BROKER_MEMBER_GROUP, header);
        RemotingCommand answer = api.getRemotingClient().invokeSync(null, request, TIMEOUT_MS);
        BrokerMemberGroup group =
            RemotingSerializable.decode(answer.getBody(), GetBrokerMemberGroupResponseBody.class).getBrokerMemberGroup();
        return group.getCluster() + " " + group.getBrokerName() + " " + new TreeMap<>(group.getBrokerAddrs());
    }
}
