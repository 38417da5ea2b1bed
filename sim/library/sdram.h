// An SDR SDRAM chip with a 16-bit bus that checks its timing rules.
//
// The FPGA's clock edges are at n * period, the chip's at n * period + phase.  A word that the chip
// sends is at the FPGA's pins from t_ac after a chip edge to t_oh after the next one, both `delay`
// later; at other times the FPGA gets noise.  The first breach of a rule is reported.
#pragma once

#include <cstdint>
#include <cstdio>

namespace penstock {

// Times in picoseconds, as models of chips are configured from Python: keep the order.
struct SdramTiming {
    uint64_t period, phase, delay;
    uint64_t row_bits, column_bits, bank_bits, cas_latency;
    uint64_t t_rcd, t_rp, t_ras, t_rc, t_rfc, t_wr, t_rrd, c_mrd;
    uint64_t t_refresh, t_power, t_ac, t_oh;
};

// What the FPGA drives in a cycle.
struct SdramPins {
    uint8_t command, ba, dqm;
    uint16_t a;
    uint16_t dq;
    bool oe;
};

struct SdramStatistics {
    uint64_t cycles, activates, reads, writes, refreshes;
};

class Sdram {
public:
    enum Command { kMode, kRefresh, kPrecharge, kActivate, kWrite, kRead, kStop, kNop };

    Sdram(const SdramTiming& timing, uint16_t* words) : t_(timing), words_(words) {}

    SdramStatistics statistics{};
    char violation[256] = {0};

    // The chip's clock edge in FPGA cycle `cycle`.
    void clock(uint64_t cycle, const SdramPins& pins) {
        now_ = cycle * t_.period;
        cycle_ = cycle;
        ++statistics.cycles;
        // The word of this edge becomes the old one, that of the next edge is on its way.
        const unsigned slot = cycle % kSlots;
        sent_ = coming_;
        sending_ = coming_valid_;
        coming_valid_ = slot_valid_[slot];
        coming_ = slot_word_[slot];
        slot_valid_[slot] = false;
        // Masks concern the word two edges later.
        if (masked_) coming_ = noise();
        masked_ = pins.dqm != 0;
        if (pins.oe && (sending_ || coming_valid_)) report("both ends drive the data bus", 0);

        command(pins);
        if (write_left_) take(pins);
        if (live_ && now_ > t_.t_refresh * (refreshes_ + kPostponed) + live_since_) {
            report("refreshes are overdue", 0);
        }
        for (unsigned bank = 0; bank < banks(); ++bank) {
            if (live_ && bank_[bank].open && now_ - bank_[bank].activated > kLongestRow) {
                report("a row was open for too long", bank);
            }
        }
    }

    // What the FPGA's registers see at the end of the cycle that `clock` was called for.
    uint16_t word() {
        // Time since this cycle's chip edge; negative before it.
        const int64_t since = static_cast<int64_t>(t_.period) - static_cast<int64_t>(t_.phase) -
                              static_cast<int64_t>(t_.delay);
        const int64_t old = since + static_cast<int64_t>(t_.period);
        if (since >= static_cast<int64_t>(t_.t_ac)) return coming_valid_ ? coming_ : noise();
        if (since < static_cast<int64_t>(t_.t_oh) && old >= static_cast<int64_t>(t_.t_ac)) {
            return sending_ ? sent_ : noise();
        }
        return noise();
    }

    // The FPGA is being reset: a burst it was writing is cut off.
    void cut() { write_left_ = 0; }

    // After a reset of the FPGA: restart; the contents of the memory are not relied on.
    void begin() {
        live_ = precharged_all_ = false;
        refreshes_ = 0;
    }

private:
    static constexpr unsigned kBurst = 4;
    static constexpr unsigned kSlots = 16;
    static constexpr unsigned kMostBanks = 8;
    static constexpr unsigned kPostponed = 8;
    static constexpr uint64_t kLongestRow = 100'000'000;
    static constexpr uint64_t kLong = 1ull << 40;

    struct Bank {
        bool open = false;
        uint32_t row = 0;
        uint64_t activated = 0, precharged = 0, written = 0, read_end = 0;
    };

    unsigned banks() const { return 1u << t_.bank_bits; }

    void report(const char* what, unsigned bank) {
        if (violation[0]) return;  // the first one is the cause of the others
        std::snprintf(violation, sizeof violation, "%s (bank %u, cycle %llu)", what, bank,
                      static_cast<unsigned long long>(cycle_));
    }

    // Times are compared from one chip edge to another, so the phase does not matter.
    void since(uint64_t then, uint64_t least, const char* what, unsigned bank) {
        if (then && now_ - then < least) report(what, bank);
    }

    void command(const SdramPins& pins) {
        if (pins.command == kNop) return;
        if (now_ < t_.t_power) report("a command before power is stable", 0);
        since(refreshed_, t_.t_rfc, "tRFC: a command too early after REFRESH", pins.ba);
        since(mode_set_, t_.c_mrd * t_.period, "tMRD: a command too early after MODE", pins.ba);
        if (pins.command >= kActivate && !live_) report("not initialised", pins.ba);
        if (pins.ba >= banks()) return report("no such bank", pins.ba);
        Bank& bank = bank_[pins.ba];
        switch (pins.command) {
            case kActivate:
                if (bank.open) report("ACTIVATE of an open bank", pins.ba);
                since(bank.precharged, t_.t_rp, "tRP: ACTIVATE too early", pins.ba);
                since(bank.activated, t_.t_rc, "tRC: ACTIVATE too early", pins.ba);
                since(last_activate_, t_.t_rrd, "tRRD: ACTIVATE too early", pins.ba);
                bank.open = true;
                bank.row = pins.a;
                bank.activated = last_activate_ = now_;
                ++statistics.activates;
                break;
            case kRead:
            case kWrite: access(pins, bank); break;
            case kPrecharge:
                for (unsigned k = 0; k < banks(); ++k) {
                    if ((pins.a >> 10 & 1) || k == pins.ba) precharge(k);
                }
                if (pins.a >> 10 & 1) precharged_all_ = true;
                break;
            case kRefresh:
                for (unsigned k = 0; k < banks(); ++k) {
                    if (bank_[k].open) report("REFRESH while a bank is open", k);
                    since(bank_[k].precharged, t_.t_rp, "tRP: REFRESH too early", k);
                }
                if (!precharged_all_) report("REFRESH before the first PRECHARGE", 0);
                refreshed_ = now_;
                ++refreshes_;
                ++statistics.refreshes;
                break;
            case kMode: mode(pins); break;
            default: report("a command the controller should not use", pins.ba);
        }
    }

    void mode(const SdramPins& pins) {
        if (refreshes_ < 8) report("MODE before eight REFRESHes", 0);
        if (pins.a != (t_.cas_latency << 4 | 2)) report("a wrong mode", 0);
        for (unsigned k = 0; k < banks(); ++k) {
            if (bank_[k].open) report("MODE while a bank is open", k);
        }
        mode_set_ = live_since_ = now_;
        refreshes_ = 0;
        live_ = true;
    }

    void precharge(unsigned k) {
        Bank& bank = bank_[k];
        if (!bank.open) return;
        since(bank.activated, t_.t_ras, "tRAS: PRECHARGE too early", k);
        since(bank.written, t_.t_wr, "tWR: PRECHARGE too early", k);
        if (cycle_ < bank.read_end || (write_left_ && write_bank_ == k)) {
            report("PRECHARGE cuts a burst", k);
        }
        bank.open = false;
        bank.precharged = now_;
    }

    void access(const SdramPins& pins, Bank& bank) {
        if (!bank.open) return report("READ or WRITE in a closed bank", pins.ba);
        since(bank.activated, t_.t_rcd, "tRCD: READ or WRITE too early", pins.ba);
        if (pins.a >> 10 & 1) report("auto precharge is not used here", pins.ba);
        if (write_left_ || cycle_ < burst_end_) report("a burst cuts another", pins.ba);
        burst_end_ = cycle_ + kBurst;
        const uint64_t start =
            ((uint64_t{bank.row} << t_.bank_bits | pins.ba) << t_.column_bits) | pins.a;
        if (pins.command == kWrite) {
            ++statistics.writes;
            write_left_ = kBurst;
            write_bank_ = pins.ba;
            write_address_ = start;
            return;
        }
        ++statistics.reads;
        bank.read_end = cycle_ + kBurst;
        for (unsigned k = 0; k < kBurst; ++k) {
            const unsigned slot = (cycle_ + t_.cas_latency - 1 + k) % kSlots;
            slot_valid_[slot] = true;
            slot_word_[slot] = words_[wrap(start, k)];
        }
    }

    // A burst stays within its four words.
    static uint64_t wrap(uint64_t start, unsigned k) { return (start & ~3ull) | ((start + k) & 3); }

    void take(const SdramPins& pins) {
        if (!pins.oe) report("a word to write is not driven", write_bank_);
        uint16_t& word = words_[wrap(write_address_, kBurst - write_left_)];
        if (!(pins.dqm & 1)) word = (word & 0xFF00) | (pins.dq & 0x00FF);
        if (!(pins.dqm & 2)) word = (word & 0x00FF) | (pins.dq & 0xFF00);
        if (--write_left_ == 0) bank_[write_bank_].written = now_;
    }

    uint16_t noise() {
        random_ = random_ * 6364136223846793005ull + 1442695040888963407ull;
        return random_ >> 48;
    }

    SdramTiming t_;
    uint16_t* words_;
    uint64_t now_ = 0, cycle_ = 0;
    Bank bank_[kMostBanks];
    bool precharged_all_ = false, live_ = false;
    uint64_t refreshes_ = 0, refreshed_ = 0, mode_set_ = 0, live_since_ = 0, last_activate_ = 0;
    unsigned write_left_ = 0, write_bank_ = 0;
    uint64_t write_address_ = 0, burst_end_ = 0;
    bool slot_valid_[kSlots] = {};
    uint16_t slot_word_[kSlots] = {};
    bool sending_ = false, coming_valid_ = false;
    uint16_t sent_ = 0, coming_ = 0;
    bool masked_ = false;
    uint64_t random_ = 1;
};

}  // namespace penstock
