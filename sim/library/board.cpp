// C interface to a Verilated board top: its SDRAM chip and the other end of its serial line.
// sim/library/simulated_board.py calls it through ctypes.
//
// The top has the pins of hw.boards.ulx3s.Ulx3s, without PENSTOCK_SDRAM all but the chip's.  Its
// outputs come from registers, so one evaluation of the rising edge and one of the falling edge
// make a cycle.

#include <sys/mman.h>

#include <cstdint>
#include <deque>
#include <memory>

#include "Vboard.h"
#include "sdram.h"
#include "verilated.h"

double sc_time_stamp() { return 0; }

namespace penstock {

#define SDRAM(name) sdram___05F##name

// The computer's UART; a bit takes `bit` picoseconds on its clock.
class Serial {
public:
    Serial(uint64_t period, uint64_t bit) : period_(period), bit_(bit) {}

    std::deque<uint8_t> to_board, from_board;

    // Return the level of the wire to the board in this cycle.
    bool drive() {
        now_ += period_;
        if (!sending_) {
            if (to_board.empty()) return true;
            frame_ = 0x200 | to_board.front() << 1;
            to_board.pop_front();
            sending_ = true;
            sent_since_ = now_;
        }
        const uint64_t position = (now_ - sent_since_) / bit_;
        if (position < 10) return frame_ >> position & 1;
        sending_ = false;
        return true;
    }

    // Look at the wire from the board.
    void sample(bool level) {
        if (!receiving_) {
            if (level) return;
            receiving_ = true;
            received_ = 0;
            next_ = now_ + bit_ / 2;
        }
        if (now_ < next_) return;
        next_ += bit_;
        if (received_ == 0) {
            if (level) receiving_ = false;  // no start bit
        } else if (received_ <= 8) {
            byte_ = byte_ >> 1 | level << 7;
        } else {
            if (level) from_board.push_back(byte_);
            receiving_ = false;
        }
        ++received_;
    }

private:
    uint64_t period_, bit_, now_ = 0;
    bool sending_ = false, receiving_ = false;
    uint64_t sent_since_ = 0, next_ = 0;
    unsigned frame_ = 0, received_ = 0;
    uint8_t byte_ = 0;
};

class Board {
public:
    Board(const SdramTiming& timing, uint64_t bit)
        : size_(2ull << (timing.row_bits + timing.column_bits + timing.bank_bits)),
          words_(static_cast<uint16_t*>(mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))),
          context_(new VerilatedContext),
          top_(new Vboard(context_.get(), "board")),
          sdram(timing, words_),
          serial(timing.period, bit) {
        top_->rx = 1;
        top_->rst = 1;
        top_->clk = 1;
        top_->eval();  // registers have their initial values from here on
        for (int i = 0; i < 4; ++i) cycle();
        top_->rst = 0;
    }

    ~Board() {
        top_->final();
        if (mapped()) munmap(words_, size_);
    }

    bool mapped() const { return words_ != MAP_FAILED; }
    uint16_t* words() { return words_; }
    uint64_t now() const { return now_; }
    unsigned led() const { return top_->led; }

    void run(uint64_t cycles) {
        for (uint64_t i = 0; i < cycles; ++i) cycle();
    }

    void press(bool down) {
        top_->button = down;
        if (!down) sdram.begin();
    }

private:
    void cycle() {
#ifdef PENSTOCK_SDRAM
        const SdramPins pins{top_->SDRAM(command), top_->SDRAM(ba),   top_->SDRAM(dqm),
                             top_->SDRAM(a),       top_->SDRAM(dq_o), top_->SDRAM(dq_oe) != 0};
        if (top_->button) sdram.cut();
        sdram.clock(now_, pins);
        top_->SDRAM(dq_i) = pins.oe ? pins.dq : sdram.word();
#endif
        serial.sample(top_->tx);
        top_->rx = serial.drive();
        top_->clk = 0;
        top_->eval();
        top_->clk = 1;
        top_->eval();
        ++now_;
    }

    uint64_t size_;
    uint16_t* words_;
    std::unique_ptr<VerilatedContext> context_;
    std::unique_ptr<Vboard> top_;
    uint64_t now_ = 0;

public:
    Sdram sdram;
    Serial serial;
};

}  // namespace penstock

using penstock::Board;

extern "C" {

// Null if the memory cannot be mapped.
Board* board_open(const penstock::SdramTiming* timing, uint64_t bit) {
    Board* board = new Board(*timing, bit);
    if (board->mapped()) return board;
    delete board;
    return nullptr;
}

void board_close(Board* board) { delete board; }

void board_run(Board* board, uint64_t cycles) { board->run(cycles); }

void board_press(Board* board, int down) { board->press(down != 0); }

uint32_t board_led(Board* board) { return board->led(); }

uint64_t board_cycles(Board* board) { return board->now(); }

uint16_t* board_memory(Board* board) { return board->words(); }

// The first breach of the chip's rules, or an empty string.
const char* board_violation(Board* board) { return board->sdram.violation; }

void board_statistics(Board* board, penstock::SdramStatistics* result) {
    *result = board->sdram.statistics;
}

void board_send(Board* board, const uint8_t* data, uint64_t count) {
    board->serial.to_board.insert(board->serial.to_board.end(), data, data + count);
}

// Bytes on their way to the board.
uint64_t board_unsent(Board* board) { return board->serial.to_board.size(); }

// Copy at most `limit` of the bytes that came, and forget them; return their number.
uint64_t board_receive(Board* board, uint8_t* data, uint64_t limit) {
    auto& queue = board->serial.from_board;
    uint64_t count = 0;
    while (count < limit && !queue.empty()) {
        data[count++] = queue.front();
        queue.pop_front();
    }
    return count;
}
}
