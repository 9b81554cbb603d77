import com.amazonaws.kinesis.deagg.RecordDeaggregator;
import com.amazonaws.services.kinesis.clientlibrary.types.UserRecord;
import com.amazonaws.services.lambda.runtime.events.KinesisEvent.KinesisEventRecord;
import com.amazonaws.services.lambda.runtime.events.KinesisEvent.Record;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.stream.Collectors;

/**
 * Undoes records with Amazon's de-aggregator for functions.
 *
 * <p>java Deaggregate.java LINES      a line is a record's data in base64
 *
 * <p>Prints a line each: its user records, separated by spaces, as key:hash key:data, each in base64, the hash key as it
 * is or null; or "error" and what was thrown.
 */
public class Deaggregate {
  public static void main(String[] arguments) throws Exception {
    for (String line : Files.readAllLines(Path.of(arguments[0]))) {
      Record record = new Record();
      record.setData(ByteBuffer.wrap(Base64.getDecoder().decode(line)));
      record.setPartitionKey("a");
      record.setSequenceNumber("1");
      KinesisEventRecord event = new KinesisEventRecord();
      event.setKinesis(record);
      String found;
      try {
        found =
            RecordDeaggregator.deaggregate(event).stream().map(Deaggregate::spelled).collect(Collectors.joining(" "));
      } catch (Exception | Error error) {
        found = "error " + error;
      }
      System.out.println("> " + found.replace('\n', ' '));
    }
  }

  private static String spelled(UserRecord one) {
    byte[] data = new byte[one.getData().remaining()];
    one.getData().duplicate().get(data);
    Base64.Encoder base64 = Base64.getEncoder();
    String key = base64.encodeToString(one.getPartitionKey().getBytes(StandardCharsets.UTF_8));
    return key + ":" + one.getExplicitHashKey() + ":" + base64.encodeToString(data);
  }
}
