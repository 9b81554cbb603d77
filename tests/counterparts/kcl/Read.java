import java.io.PrintWriter;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Base64;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.metrics.MetricsLevel;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.retrieval.KinesisClientRecord;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/**
 * Reads a stream from its beginning by the KCL, which undoes KPL aggregates, until nothing has come for a while.
 *
 * <p>java Read.java ENDPOINT STREAM APPLICATION IDLE_SECONDS MAX_SECONDS OUT
 *
 * <p>Writes a line for each user record: shard, sequence number, number within its record, partition key, explicit
 * hash key or null, base64 of the data; separated by tabs.
 */
public class Read {
  private static final AtomicLong lastMs = new AtomicLong();

  public static void main(String[] arguments) throws Exception {
    URI endpoint = URI.create(arguments[0]);
    String stream = arguments[1];
    String application = arguments[2];
    long idleMs = 1000 * Long.parseLong(arguments[3]);
    long maxMs = 1000 * Long.parseLong(arguments[4]);
    var credentials = StaticCredentialsProvider.create(AwsBasicCredentials.create("test", "test"));
    var http = NettyNioAsyncHttpClient.builder().maxConcurrency(100).protocol(Protocol.HTTP1_1);
    var kinesis =
        KinesisAsyncClient.builder()
            .endpointOverride(endpoint)
            .region(Region.US_EAST_1)
            .credentialsProvider(credentials)
            .httpClientBuilder(http)
            .build();
    var leases =
        DynamoDbAsyncClient.builder()
            .endpointOverride(endpoint)
            .region(Region.US_EAST_1)
            .credentialsProvider(credentials)
            .build();
    var metrics =
        CloudWatchAsyncClient.builder()
            .endpointOverride(endpoint)
            .region(Region.US_EAST_1)
            .credentialsProvider(credentials)
            .build();
    try (PrintWriter out = new PrintWriter(Path.of(arguments[5]).toFile(), StandardCharsets.UTF_8)) {
      String worker = UUID.randomUUID().toString();
      var configs =
          new ConfigsBuilder(stream, application, kinesis, leases, metrics, worker, () -> new Processor(out));
      var retrieval =
          configs
              .retrievalConfig()
              .retrievalSpecificConfig(new PollingConfig(stream, kinesis).idleTimeBetweenReadsInMillis(1000))
              .streamTracker(
                  new SingleStreamTracker(
                      stream,
                      InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON)));
      // Quick, for one worker and a run of a minute: all that these settings change is how long it takes.
      var leaseManagement =
          configs
              .leaseManagementConfig()
              .failoverTimeMillis(5000)
              .leaseAssignmentIntervalMillis(1000L)
              .shardSyncIntervalMillis(2000)
              // A shard it does not know is looked up at once, not at the 1,001st time or after 30 s. It leaves out
              // aggregates with astray user records only of shards it knows.
              .maxCacheMissesBeforeReload(0);
      leaseManagement.workerUtilizationAwareAssignmentConfig().workerMetricsReporterFreqInMillis(1000);
      leaseManagement.workerUtilizationAwareAssignmentConfig().disableWorkerMetrics(true);
      var scheduler =
          new Scheduler(
              configs.checkpointConfig(),
              configs.coordinatorConfig().parentShardPollIntervalMillis(1000),
              leaseManagement,
              configs.lifecycleConfig(),
              configs.metricsConfig().metricsLevel(MetricsLevel.NONE),
              configs.processorConfig().callProcessRecordsEvenForEmptyRecordList(false),
              retrieval);
      Thread thread = new Thread(scheduler, "kcl");
      thread.setDaemon(true);
      thread.start();
      long startMs = System.currentTimeMillis();
      while (System.currentTimeMillis() - startMs < maxMs) {
        Thread.sleep(200);
        long last = lastMs.get();
        if (last != 0 && System.currentTimeMillis() - last > idleMs) break;
      }
      scheduler.startGracefulShutdown().get(20, TimeUnit.SECONDS);
    } catch (Exception cause) {
      cause.printStackTrace();
      System.exit(1);
    }
    System.exit(0);
  }

  private static final class Processor implements ShardRecordProcessor {
    private final PrintWriter out;
    private String shard;

    Processor(PrintWriter out) {
      this.out = out;
    }

    @Override
    public void initialize(InitializationInput input) {
      shard = input.shardId();
    }

    @Override
    public void processRecords(ProcessRecordsInput input) {
      for (KinesisClientRecord record : input.records()) {
        byte[] data = new byte[record.data().remaining()];
        record.data().duplicate().get(data);
        String line =
            String.join(
                "\t",
                shard,
                record.sequenceNumber(),
                Long.toString(record.subSequenceNumber()),
                record.partitionKey(),
                record.explicitHashKey(),
                Base64.getEncoder().encodeToString(data));
        synchronized (out) {
          out.println(line);
          out.flush();
        }
        lastMs.set(System.currentTimeMillis());
      }
      checkpoint(() -> input.checkpointer().checkpoint());
    }

    @Override
    public void leaseLost(LeaseLostInput input) {}

    @Override
    public void shardEnded(ShardEndedInput input) {
      checkpoint(() -> input.checkpointer().checkpoint());
    }

    @Override
    public void shutdownRequested(ShutdownRequestedInput input) {
      checkpoint(() -> input.checkpointer().checkpoint());
    }

    private void checkpoint(Checkpoint checkpoint) {
      try {
        checkpoint.run();
      } catch (Exception cause) {
        System.err.println("checkpoint of " + shard + ": " + cause);
      }
    }
  }

  private interface Checkpoint {
    void run() throws Exception;
  }
}
