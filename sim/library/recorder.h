// Records events of the engines in one run, with their cycles, for host/devices/recording.py.
//
// Compiled only into the recording variant of the library (PENSTOCK_RECORD), in which the signals
// named in recorder.vlt can be read.  The cycle in which the start pulse reaches the sequencer is
// number 1, as in the core's own counters; a new start clears the previous recording.

#ifndef PENSTOCK_RECORDER_H
#define PENSTOCK_RECORDER_H

#include <cstdint>
#include <vector>

#include "Vaccel.h"
#include "Vaccel___024root.h"

namespace penstock {

// The layout of both is known to host/devices/recording.py.
struct Event {
    uint32_t cycle;
    uint32_t engine;  // models.spec.isa.Op, 0: the fetcher
    uint32_t kind;
};

struct Sample {
    uint32_t cycles;         // the counts below are of so many cycles
    uint32_t busy;
    uint32_t stall_input;
    uint32_t stall_weights;
    uint32_t stall_output;
    uint32_t beats[4];       // desc, wgt, act, out
};

class Recorder {
public:
    enum Kind : uint32_t { kBegun, kHandedOut, kTaken, kDone };

    // Look at a cycle whose signals have settled.
    void sample(const Vaccel& top) {
        const Vaccel___024root& in = *top.rootp;
        if (in.accel__DOT__sequencer__DOT__program___05Fstart) begin();
        if (!running_) return;
        fetch(in);
        engine<1>(in.accel__DOT__sequencer__DOT__gate_load__DOT__i___05Fready,
                  in.accel__DOT__done_load);
        engine<2>(in.accel__DOT__sequencer__DOT__gate_weights__DOT__i___05Fready,
                  in.accel__DOT__done_weights);
        // The pulse comes a cycle after a descriptor's last word, when the next one may be at work.
        if (in.accel__DOT__done_conv) samples.push_back(now_);
        engine<3>(in.accel__DOT__sequencer__DOT__gate_conv__DOT__i___05Fready,
                  in.accel__DOT__done_conv);
        engine<4>(in.accel__DOT__sequencer__DOT__gate_drain__DOT__i___05Fready,
                  in.accel__DOT__done_drain);
        engine<5>(in.accel__DOT__sequencer__DOT__gate_post__DOT__i___05Fready,
                  in.accel__DOT__done_post);
        count(top, in);
        // The layer log counts the cycle of the pulse itself.
        if (in.accel__DOT__done_post || now_.cycles % kInterval == 0) samples.push_back(now_);
    }

    std::vector<Event> events;
    std::vector<Sample> samples;

private:
    // Cycles between two samples at most.
    static constexpr uint32_t kInterval = 1024;
    static constexpr unsigned kBeats = 8;

    void begin() {
        events.clear();
        samples.clear();
        now_ = Sample{};
        now_.cycles = 1;
        samples.push_back(now_);
        beat_ = 0;
        running_ = true;
    }

    void add(uint32_t engine, Kind kind) { events.push_back({now_.cycles, engine, kind}); }

    template <uint32_t number>
    void engine(bool taken, bool done) {
        if (done) add(number, kDone);
        if (taken) add(number, kTaken);
    }

    void fetch(const Vaccel___024root& in) {
        if (in.accel__DOT__sequencer__DOT__fetch__DOT__data___05Fvalid &&
            in.accel__DOT__sequencer__DOT__fetch__DOT__data___05Fready) {
            if (beat_ == 0) add(0, kBegun);
            beat_ = (beat_ + 1) % kBeats;
        }
#define HANDED(number, name)                                                \
    if (in.accel__DOT__sequencer__DOT__fetch__DOT__o_##name##___05Fvalid && \
        in.accel__DOT__sequencer__DOT__fetch__DOT__o_##name##___05Fready)   \
        add(number, kHandedOut);
        HANDED(1, load)
        HANDED(2, weights)
        HANDED(3, conv)
        HANDED(4, drain)
        HANDED(5, post)
#undef HANDED
    }

    void count(const Vaccel& top, const Vaccel___024root& in) {
        ++now_.cycles;
        if (in.accel__DOT__conv__DOT__activity___05Fbusy) {
            ++now_.busy;
        } else if (in.accel__DOT__conv__DOT__activity___05Fwait_weights) {
            ++now_.stall_weights;
        } else if (in.accel__DOT__conv__DOT__activity___05Fwait_bank) {
            ++now_.stall_output;
        } else if (in.accel__DOT__sequencer__DOT__conv_waiting) {
            ++now_.stall_input;
        }
        now_.beats[0] += top.m_desc___05Frvalid & top.m_desc___05Frready;
        now_.beats[1] += top.m_wgt___05Frvalid & top.m_wgt___05Frready;
        now_.beats[2] += top.m_act___05Frvalid & top.m_act___05Frready;
        now_.beats[3] += top.m_out___05Fwvalid & top.m_out___05Fwready;
    }

    Sample now_{};
    unsigned beat_ = 0;
    bool running_ = false;
};

}  // namespace penstock

#endif
