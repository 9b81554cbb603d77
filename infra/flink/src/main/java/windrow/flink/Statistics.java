package windrow.flink;

import java.util.Arrays;
import java.util.Comparator;
import java.util.SortedMap;
import java.util.TreeMap;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.functions.ScalarFunction;
import org.apache.flink.types.Row;

/**
 * What SQL has no aggregate for: what follows from all readings of a window, ordered by time and by value.
 *
 * <p>The definitions are those of windrow's rows: percentiles by nearest rank, values held for a minute at most, and
 * bins of 500 thousandths.
 */
public final class Statistics extends ScalarFunction {
    private static final long serialVersionUID = 1L;

    private static final int[] PERCENTS = {5, 25, 50, 75, 95, 99};
    private static final long WINDOW_MS = 300_000;
    private static final long HOLD_MS_MAX = 60_000;
    private static final int BIN_MILLI = 500;

    /** Returns the columns of one row; readings are (epoch milliseconds, sequence, value), all of one window. */
    public @DataTypeHint(
                    "ROW<first_milli INT, first_ms BIGINT, last_milli INT, last_ms BIGINT, percentiles ARRAY<INT>,"
                            + " integral_milli_ms BIGINT, covered_ms INT, bins ARRAY<INT>, counts ARRAY<INT>>") Row eval(
            @DataTypeHint("ARRAY<ROW<event_ms BIGINT, sequence BIGINT, milli INT>>") Row[] readings) {
        Row[] ordered = readings.clone();
        Arrays.sort(ordered, Comparator.comparingLong(Statistics::time).thenComparingLong(Statistics::sequence));
        int n = ordered.length;
        long end = (Math.floorDiv(time(ordered[0]), WINDOW_MS) + 1) * WINDOW_MS;
        long integral = 0;
        long covered = 0;
        for (int i = 0; i < n; i++) {
            long until = i + 1 < n ? time(ordered[i + 1]) : end;
            long held = Math.min(until - time(ordered[i]), HOLD_MS_MAX);
            integral += held * milli(ordered[i]);
            covered += held;
        }
        int[] values = Arrays.stream(ordered).mapToInt(Statistics::milli).sorted().toArray();
        SortedMap<Integer, Integer> bins = new TreeMap<>();
        for (int value : values) {
            bins.merge(Math.floorDiv(value, BIN_MILLI), 1, Integer::sum);
        }
        return Row.of(
                milli(ordered[0]),
                time(ordered[0]),
                milli(ordered[n - 1]),
                time(ordered[n - 1]),
                Arrays.stream(PERCENTS).mapToObj(percent -> nearestRank(values, percent)).toArray(Integer[]::new),
                integral,
                (int) covered,
                bins.keySet().toArray(Integer[]::new),
                bins.values().toArray(Integer[]::new));
    }

    private static int nearestRank(int[] ascending, int percent) {
        return ascending[(int) (((long) percent * ascending.length + 99) / 100) - 1];
    }

    private static long time(Row reading) {
        return (Long) reading.getField(0);
    }

    private static long sequence(Row reading) {
        return (Long) reading.getField(1);
    }

    private static int milli(Row reading) {
        return (Integer) reading.getField(2);
    }
}
